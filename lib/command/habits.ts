// `habitOf`: what people type from habit with nc, ncat or socat, and what it is
// called here.

const HABITS: Record<string, string> = {
  "-l --listen": "tcp_server.ts and udp_receiver.ts listen",
  "-k --keep-open": "serving one client after the other is the default",
  "-u --udp": "UDP is for udp_sender.ts and udp_receiver.ts",
  "-z": "tcp_client.ts has --check",
  "-w --wait": "tcp_client.ts has --timeout and --idle-timeout",
  "-i --idle": "the TCP scripts have --idle-timeout",
  "-q": "the script leaves when the peer has ended, too",
  "-N": "the end of the input half-closes the connection anyway",
  "-C": "tcp_client.ts has --crlf",
  "-d --recv-only": "tcp_client.ts has --no-stdin",
  "-x --hex-dump": "--hex shows the bytes, --explain each call",
  "-o --output": "send standard output to a file, as in > FILE",
  "-e -c --exec --sh-exec": "no program is started for a client",
  "-p --port": "the port belongs to the address, as in 127.0.0.1:1234",
  "-s --source": "only udp_sender.ts has that, as --bind",
  "-4 -6": "the address tells: 127.0.0.1:1234 or [::1]:1234",
  "-n --nodns": "an address in numbers is never looked up",
  "-b --broadcast": "a broadcast address needs no option",
  "-U --unixsock": "write unix:/path as the address",
  "-T --ttl --telnet": "it is not offered",
  "-X --proxy": "proxies are not offered",
  "--ssl --tls": "write tls:// before the address",
  "--chat --broker": "tcp_server.ts has --mode room",
  "--allow": "--from says who may come",
  "--deny": "--from says who may come, and there is no list of who may not",
};

/** What an option of another tool is called here; nothing for other words. */
export function habitOf(given: string): string {
  const names = Object.keys(HABITS)
    .find((names) => names.split(" ").includes(given));
  return names === undefined ? "" : `; ${HABITS[names]}`;
}
