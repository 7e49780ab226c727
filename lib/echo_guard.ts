/**
 * Which datagrams an echo must not answer, so that two of them do not keep each
 * other busy for ever.
 *
 * @module
 */

/**
 * Services that answer whatever they get, so an answer to them is a loop: echo
 * (RFC 862), daytime (867), quote of the day (865), chargen (864).
 */
const ANSWERING_PORTS = new Map([
  [7, "echo"],
  [13, "daytime"],
  [17, "qotd"],
  [19, "chargen"],
]);

/** How often equal datagrams of one peer are answered before one is not. */
const ANSWERS = 32;

/** How many different datagrams are remembered. */
const MEMORY = 4096;

/**
 * Decides what is answered.
 *
 * Its own address and ports of services that answer anything are never
 * answered. That leaves a peer that echoes on a port like any other, and what
 * it sends cannot be told from what a person would: an answer that comes back
 * is an equal datagram from the same peer, but so is a second "hello". So of
 * equal datagrams of one peer 32 are answered, and then one is not. What is not
 * answered does not bounce any more, and an echo makes one of one: so n
 * datagrams bounce 33 n times at most, whatever they hold and however long they
 * take. A peer that is no echo misses one answer in 33, if it repeats itself.
 *
 * More would have to be under way than is remembered for one to live on; but
 * what waits lies in a socket's buffer, and that has room for some hundreds.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const own = { transport: "udp", hostname: "0.0.0.0", port: 8080 } as const;
 * const guard = new EchoGuard(own);
 * const peer = { ...own, hostname: "10.0.0.1", port: 5000 };
 * assertEquals(guard.objection(new Uint8Array(5), peer), undefined);
 * assertEquals(
 *   guard.objection(new Uint8Array(5), { ...peer, port: 7 }),
 *   "port 7 is the echo service's",
 * );
 * ```
 */
export class EchoGuard {
  #own: Deno.NetAddr;
  /** How often each was answered, the least recent first. */
  #answered = new Map<string, number>();

  /**
   * Makes a guard.
   *
   * @param own Where the echo itself is bound.
   */
  constructor(own: Deno.NetAddr) {
    this.#own = own;
  }

  /**
   * Says why a datagram must not be answered, or takes note that it is.
   *
   * @param payload What it holds.
   * @param peer Who sent it.
   * @returns The reason; `undefined` if it may be answered.
   */
  objection(payload: Uint8Array, peer: Deno.NetAddr): string | undefined {
    const service = ANSWERING_PORTS.get(peer.port);
    if (service !== undefined) {
      return `port ${peer.port} is the ${service} service's`;
    }
    if (this.#isOwn(peer)) return "it is its own address";
    const key = `${peer.hostname} ${peer.port} ${fingerprint(payload)}`;
    const answers = (this.#answered.get(key) ?? 0) + 1;
    this.#answered.delete(key);
    if (answers > ANSWERS) {
      return `${ANSWERS} equal ones were answered, and where the peer echoes too, that would never end`;
    }
    this.#answered.set(key, answers);
    if (this.#answered.size > MEMORY) {
      this.#answered.delete(this.#answered.keys().next().value!);
    }
    return undefined;
  }

  #isOwn({ hostname, port }: Deno.NetAddr): boolean {
    if (port !== this.#own.port) return false;
    if (hostname === this.#own.hostname) return true;
    // Bound to all addresses, it has those of the loopback for certain.
    return /^(0\.0\.0\.0|::)$/.test(this.#own.hostname) &&
      /^(::ffff:)?127\.|^::1$/.test(hostname);
  }
}

/** Length and hash (FNV-1a, 32 bits): equal for equal payloads. */
function fingerprint(payload: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${payload.length} ${hash >>> 0}`;
}
