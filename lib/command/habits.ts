// `habitOf`: what people type from habit with nc, ncat or socat (or for Deno),
// and what it is called here.

const HABITS: Record<string, string> = {
  "-l --listen":
    "tcp_server.ts and udp_receiver.ts listen without it; tcp_server.ts --mode pipe does what `nc -l` does",
  "-k --keep-open": "serving one client after the other is the default",
  "-u --udp": "udp_sender.ts and udp_receiver.ts speak UDP without it",
  "-z": "tcp_client.ts has --check",
  "-w --wait --connect-timeout":
    "tcp_client.ts has --timeout and --idle-timeout",
  "-i --idle": "the TCP scripts have --idle-timeout",
  "-q": "the script leaves when the peer has ended, too",
  "-N": "the end of the input half-closes the connection anyway",
  "-C": "tcp_client.ts has --crlf",
  "-d --recv-only": "tcp_client.ts has --no-stdin",
  "-x --hex-dump": "--hex shows the bytes; proxies are not offered",
  "-o --output": "send standard output to a file, as in > FILE",
  "-e -c --exec --sh-exec": "no program is started for a client",
  "-p --port":
    "the port of the peer belongs to the address, as in 127.0.0.1:1234",
  "-s --source --bind": "only udp_sender.ts has that, as --bind",
  "-4 -6": "the address tells: 127.0.0.1:1234 or [::1]:1234",
  "-n --nodns": "an address in numbers is never looked up",
  "-b --broadcast": "a broadcast address needs no option",
  "-U --unixsock": "write unix:/path as the address",
  "-T --ttl --telnet -X --proxy --proxy-type": "it is not offered",
  "--ca --cafile --insecure --ssl-verify --ssl-trustfile":
    "tls:// always verifies; tcp_client.ts has --ca FILE, Deno has deno run --cert FILE",
  "--ssl-cert --ssl-key": "tcp_server.ts has --cert and --key",
  "-L --forward": "tcp_server.ts has --mode forward --to ADDRESS",
  "-m --max-conns": "tcp_server.ts has --max-connections",
  "--send-only": "discard what comes by > /dev/null",
  "--ssl --tls": "write tls:// before the address",
  "--chat --broker": "tcp_server.ts has --mode room",
  "--allow --allowfile --deny": "--from says who may come",
  "--allow-net --allow-read --allow-write --unstable-net":
    "what Deno is to allow stands before the script's name",
};

/** What an option of another tool is called here; nothing for other words. */
export function habitOf(given: unknown): string | undefined {
  return Object.entries(HABITS)
    .find(([names]) => names.split(" ").some((name) => name === given))?.[1];
}
