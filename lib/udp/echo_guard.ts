/**
 * `EchoGuard`: which datagrams an echo must not answer.
 *
 * @module
 */

/** Services that answer whatever they get: an answer to them makes a loop. */
const ANSWERING_PORTS = new Map(
  Object.entries({ 7: "echo", 13: "daytime", 17: "qotd", 19: "chargen" }),
);
/** How often equal datagrams of one peer are answered before one is not. */
const ANSWERS = 32;
/** How many different datagrams are remembered. */
const REMEMBERED = 4096;

/**
 * Decides what is answered: not its own address, nor a service that answers
 * anything. A peer that echoes on another port looks like a person who repeats
 * "hello". So of equal datagrams of one peer 32 are answered, and then one is
 * not, which ends a loop of it; a peer that is no echo misses one in 33.
 */
export class EchoGuard {
  #isOwn: (peer: Deno.NetAddr) => boolean;
  /** How often each was answered, the least recent first. */
  #answered = new Map<string, number>();

  constructor(own: Deno.NetAddr) {
    // Bound to all addresses, it has those of the loopback for certain.
    const all = /^(0\.0\.0\.0|::)$/.test(own.hostname);
    this.#isOwn = ({ hostname, port }) =>
      port === own.port && (hostname === own.hostname ||
        all && /^(::ffff:)?127\.|^::1$/.test(hostname));
  }

  /** Says why a datagram must not be answered, or takes note that it is. */
  objection(payload: Uint8Array, peer: Deno.NetAddr): string | undefined {
    const service = ANSWERING_PORTS.get(`${peer.port}`);
    if (service) return `port ${peer.port} is the ${service} service's`;
    if (this.#isOwn(peer)) return "it is its own address";
    // FNV-1a, 32 bits: equal for equal payloads.
    let hash = 0x811c9dc5;
    for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193);
    const key = `${peer.hostname} ${peer.port} ${payload.length} ${hash}`;
    const answers = this.#answered.get(key) ?? 0;
    this.#answered.delete(key);
    if (answers === ANSWERS) {
      return `${ANSWERS} equal ones were answered, and where the peer echoes too, that would never end`;
    }
    this.#answered.set(key, answers + 1);
    const [oldest] = this.#answered.keys();
    if (this.#answered.size > REMEMBERED) this.#answered.delete(oldest);
  }
}
