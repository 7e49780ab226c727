// `advise`: what people type from habit with nc, ncat or socat (or for Deno),
// or by mistake, and what it is called here.

const HABITS: Record<string, string> = {
  "-l --listen": "tcp_server.ts listens, with --mode pipe as nc -l does",
  "-k --keep-open": "serving one client after the other is the default",
  "-u --udp": "udp_sender.ts and udp_receiver.ts speak UDP without it",
  "-z": "tcp_client.ts has --check",
  "-w --wait --connect-timeout":
    "tcp_client.ts has --timeout and --idle-timeout",
  "-i --idle": "the TCP scripts have --idle-timeout",
  "-N": "the end of the input half-closes the connection anyway",
  "-C": "tcp_client.ts has --crlf",
  "-d --recv-only": "tcp_client.ts has --no-stdin",
  "-x --hex-dump": "--hex shows the bytes; proxies are not offered",
  "-o --output": "send standard output to a file, as in > FILE",
  "-e -c --exec --sh-exec": "no program is started for a client",
  "-p --port": "the port belongs to the address, as in 127.0.0.1:1234",
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
  "--chat": "tcp_server.ts has --mode chat for two, --mode room for more",
  "--broker": "tcp_server.ts has --mode room",
  "--echo --greet --room --pipe --discard --chargen":
    "tcp_server.ts has it as a --mode, as in --mode echo",
  "--allow --allowfile --deny": "--from says who may come",
  "--allow-net --allow-read --allow-write --unstable-net":
    "what Deno is to allow stands before the script's name",
};

// An address of socat: kind of socket, perhaps its role, place, options. But
// `tcp:80` is a host and a port.
const SOCAT_ADDRESS =
  /^(tcp|tls|udp|ssl|openssl|unix)[46]?(?:-[a-z-]+)?:(?!\/\/|\d*$)([^,]+)/i;

/** Adds to an error what was probably meant by an option or an address. */
export function advise(error: Error): void {
  const { given, flags, message } = Object(error.cause);
  if (given) {
    const habit = Object.entries(HABITS)
      .find(([names]) => names.split(" ").includes(given))?.[1];
    const near = nearest(given, flags);
    error.message += habit ? `; ${habit}` : near && `; did you mean ${near}?`;
  }
  const [start, text] = /^Cannot parse address "(.*)": /s.exec(message) ?? [];
  const own = text && fromElsewhere(text);
  if (own) {
    const advice = `${start}as an address it is ${own}`;
    error.message = error.message.replace(message, () => advice);
  }
}

/** The flag with nearly the same letters, if any. */
function nearest(given: string, flags: string[]): string {
  const lacking = (word: string, other: string) =>
    [...other].reduce((rest, one) => rest.replace(one, ""), word).length;
  const isNear = (flag: string) =>
    lacking(flag, given) + lacking(given, flag) <= given.length / 3;
  return flags.find(isNear) ?? "";
}

/** Gives our form of a path, a page's URL, or an address of socat. */
function fromElsewhere(text: string): string | undefined {
  if (/^[.~]{0,2}\//.test(text)) return `unix:${text}`;
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  const [tls, usual] = url?.protocol === "https:" ? ["tls://", 443] : ["", 80];
  if (url) return `${tls}${url.hostname}:${url.port || usual}`;
  const [, kind, place] = SOCAT_ADDRESS.exec(text) ?? [];
  if (!place) return undefined;
  const scheme = { tcp: "", udp: "udp://", unix: "unix:" }[kind.toLowerCase()];
  return (scheme ?? "tls://") + place;
}
