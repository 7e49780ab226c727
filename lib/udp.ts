/**
 * UDP: datagrams, each a message of its own, to anybody and from everybody.
 *
 * There is no connection. A datagram arrives whole or not at all; it may come
 * twice, or after one that was sent later; and nobody tells the sender.
 *
 * @module
 */
import { formatAddress, permissionFor } from "./address.ts";
import { type NetAddress, parseAddress } from "./address.ts";
import { describeError } from "./tcp/errors.ts";
import { turn } from "./tcp/stream.ts";

/**
 * Reads an address of UDP; `udp://` before it is not needed.
 *
 * @param text The address, as a person types it.
 * @param defaults What to fill in where the text is silent.
 * @returns The address.
 * @throws {SyntaxError} If the text is not an address, or not one of UDP.
 */
export function parseUdpAddress(
  text: string,
  defaults: Partial<NetAddress> = {},
): NetAddress {
  const address = parseAddress(text, { ...defaults, transport: "udp" });
  if (address.transport === "udp") return address;
  throw new SyntaxError(
    `Cannot use "${text}" for datagrams: it must be udp://, not ${address.transport}`,
  );
}

/** A datagram that came, and from whom. The next one overwrites the payload. */
export type Datagram = {
  payload: Uint8Array;
  peer: Deno.NetAddr;
  cut: boolean; // it was longer than what was asked for, and lost its end
};

/** Options for {@linkcode UdpSocket.receive}. */
export type ReceiveOptions = {
  maxSize?: number; // the longest payload that is taken whole (65,535)
  timeout?: number; // so much silence ends the loop as well, in ms (none does)
  signal?: AbortSignal; // ends the loop, and closes the socket
};

/** What Windows says of a datagram that *we* sent, or that is longer than ours. */
const NOT_FINAL = /^Connection(Reset|Refused)\b|os error 100(40|52)\b/;
/** Why a datagram is not sent, by the system's code. */
const SEND_REASONS: Record<string, string> = {
  misbound:
    "no way leads there from where it is bound; bind it to [::]:0 or 0.0.0.0:0 (--bind)",
  EADDRNOTAVAIL: "no address of this machine leads there",
  // 9,216 bytes on macOS (udp_usrreq.c of xnu).
  EMSGSIZE:
    "the system sends no datagram of that length; on macOS `sysctl net.inet.udp.maxdgram` says which",
  EPERM: "this machine's firewall does not let it out",
};
/** How often it looks whether something came, while there is a timeout. */
const LOOKS = 16;

/**
 * A UDP socket: sends to anybody, hears everybody.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using receiver = new UdpSocket(parseUdpAddress("127.0.0.1:0"));
 * using sender = new UdpSocket(parseUdpAddress("127.0.0.1:0"));
 * await sender.send(new TextEncoder().encode("hello"), receiver.address);
 * for await (const { payload, peer } of receiver.receive()) {
 *   assertEquals(new TextDecoder().decode(payload), "hello");
 *   assertEquals(peer.port, sender.address.port);
 *   break;
 * }
 * ```
 */
export class UdpSocket implements Disposable {
  /** Where it is bound, with the port that the system chose for port 0. */
  readonly address: Deno.NetAddr;
  /** Deno's own socket, for what this class does not do: groups. */
  readonly conn: Deno.DatagramConn;
  #closed = false;

  /**
   * Opens a socket.
   *
   * @param asked Where to bind it; port 0 is any free one.
   * @param options Whether others share the port, to hear the same group; and
   * who shall be sent to, so that an error names the permission for all of it.
   * @throws {Error} If the system refuses, or Deno has not been asked for UDP.
   */
  constructor(
    private readonly asked: NetAddress,
    { shared, to }: { shared?: boolean; to?: NetAddress } = {},
  ) {
    // In Deno 2 the function is there only with the flag, or deno.json's.
    if (typeof Deno.listenDatagram !== "function") {
      throw new Error(
        "Cannot open a UDP socket: Deno has it only with a flag; add --unstable-net after `deno run`",
      );
    }
    try {
      this.conn = Deno.listenDatagram({
        ...asked,
        transport: "udp",
        reuseAddress: shared,
        // Off, nobody on this machine would hear what it sends to a group.
        loopback: true,
      });
    } catch (error) {
      const permission = permissionFor(asked, ...to ? [to] : []);
      const attempt = `listen on ${formatAddress(asked)}`;
      const why = whyRefused(error, asked);
      throw describeError(error, attempt, permission, why);
    }
    this.address = this.conn.addr as Deno.NetAddr;
  }

  /**
   * Sends one datagram. That it is sent does not mean that anybody gets it.
   *
   * @param payload What it holds; no bytes are a datagram too.
   * @param to Who shall get it: an address of UDP.
   * @throws {Error} If the system refuses.
   */
  async send(payload: Uint8Array, to: NetAddress): Promise<void> {
    try {
      await this.conn.send(payload, to as Deno.NetAddr);
    } catch (error) {
      const why = whyRefused(error, this.address, to);
      const attempt = `send to ${formatAddress(to)}`;
      throw describeError(error, attempt, permissionFor(this.asked, to), why);
    }
  }

  /**
   * Gives the datagrams, one at a time and only when asked for one. Meanwhile
   * the system drops those that it has no room for; memory does not grow.
   */
  receive(options: ReceiveOptions = {}): AsyncIterable<Datagram> {
    const { maxSize = 65_535, signal, timeout } = options;
    // A longer datagram is cut in silence; that one byte more came tells of it.
    const buffer = new Uint8Array(65_536);
    const close = () => this[Symbol.dispose]();
    signal?.addEventListener("abort", close, { once: true });
    if (signal?.aborted) close();
    // One timer serves for all datagrams: looking at the clock for each would
    // cost more, and a stopped process (SIGSTOP) would take it for silence.
    let looks = 0;
    const timer = timeout && setInterval(async () => {
      looks++;
      await turn(); // so that what came during a stop has been taken
      if (looks > LOOKS) close();
    }, timeout / LOOKS);
    const end = () => {
      clearInterval(timer);
      signal?.removeEventListener("abort", close);
      return Promise.resolve({ done: true, value: undefined } as const);
    };
    // By hand: for each datagram, an async generator costs as much as counting.
    const next = async (): Promise<IteratorResult<Datagram, void>> => {
      looks = 0;
      try {
        const [bytes, from] = await this.conn.receive(buffer);
        looks = -Infinity; // what is done with it takes as long as it takes
        const cut = bytes.length > maxSize;
        const payload = cut ? bytes.subarray(0, maxSize) : bytes;
        return { value: { payload, peer: from as Deno.NetAddr, cut } };
      } catch (error) {
        if (this.#closed) return end();
        if (NOT_FINAL.test(`${error}`)) return next();
        end();
        throw describeError(error, "receive a datagram", "");
      }
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
  }

  /** Closes the socket, which may have been done before. */
  [Symbol.dispose](): void {
    if (!this.#closed) this.conn.close();
    this.#closed = true;
  }
}

/** Says why nothing is bound there, or sent, where that shows in the addresses. */
function whyRefused(error: unknown, from: NetAddress, to?: NetAddress) {
  const { code = "" } = error as { code?: string };
  const isInvalid = /^E(INVAL|ADDRNOTAVAIL|AFNOSUPPORT)$/.test(code);
  const isZoneless = /^(fe[89ab]|ff.[12])[^%]*$/i.test((to ?? from).hostname);
  if (isZoneless && (isInvalid || code.endsWith("UNREACH"))) {
    return "its zone is missing: an interface, as in %eth0";
  }
  const isFull = from.port === 0 && code === "EADDRINUSE";
  if (to === undefined) return isFull ? "all its ports are in use" : undefined;
  const isOther = from.hostname.includes(":") !== to.hostname.includes(":");
  const isAny = /^(::|0\.0\.0\.0)$/.test(from.hostname) && !isOther;
  // Of another version Linux says ENETUNREACH.
  const isMisbound = isInvalid ? !isAny : isOther && code === "ENETUNREACH";
  return SEND_REASONS[isMisbound ? "misbound" : code];
}
