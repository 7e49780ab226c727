// `echoGuard`: keeps two echoes from sending one datagram to and fro for ever.
const ANSWERS = 32;
const REMEMBERED = 4096; // different datagrams

// An echo looks like a person who repeats "hello". So of equal datagrams of one
// peer 32 are answered, and then one is not, which ends a loop. The function that
// it gives says why one must not be answered, or notes that it is.
export function echoGuard(own: Deno.NetAddr) {
  // How often each was answered, the least recent first.
  const answered = new Map<string, number>();
  return (payload: Uint8Array, { hostname, port }: Deno.NetAddr) => {
    // echo, daytime, qotd and chargen
    if ([7, 13, 17, 19].includes(port)) return `port ${port} answers anything`;
    // A socket bound to all addresses surely has those of loopback.
    const isOwn = hostname === own.hostname ||
      /^(0\.0\.0\.0|::)$/.test(own.hostname) &&
        /^(::ffff:)?127\.|^::1$/.test(hostname);
    if (port === own.port && isOwn) return "it is its own address";
    // FNV-1a, 32 bits: equal for equal payloads.
    let hash = 0x811c9dc5;
    for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193);
    const key = `${hostname} ${port} ${payload.length} ${hash}`;
    const answers = answered.get(key) ?? 0;
    answered.delete(key);
    if (answers === ANSWERS) {
      return `${ANSWERS} equal ones were answered, and where the peer echoes too, that would never end`;
    }
    answered.set(key, answers + 1);
    const [oldest] = answered.keys();
    if (answered.size > REMEMBERED) answered.delete(oldest);
  };
}
