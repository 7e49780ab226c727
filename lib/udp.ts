/**
 * UDP: datagrams, each a message of its own, to anybody and from everybody.
 *
 * There is no connection. A datagram arrives whole or not at all; it may come
 * twice, or after one that was sent later; and nobody tells the sender.
 *
 * @module
 */
import {
  type AddressDefaults,
  formatAddress,
  type NetAddress,
  parseAddress,
  permissionFor,
} from "./address.ts";
import { explain } from "./failure.ts";
import { type Group, joinGroup } from "./multicast.ts";
import { Silence } from "./silence.ts";

export type { AddressDefaults, NetAddress } from "./address.ts";
export {
  addressForGroups,
  type Group,
  isMulticast,
  parseGroup,
} from "./multicast.ts";

/** What a datagram holds at most over IPv4: 65,535 less both headers' 28. */
export const MAX_PAYLOAD_IPV4 = 65_507;
/** What a datagram holds at most over IPv6: 65,535 less UDP's header's 8. */
export const MAX_PAYLOAD_IPV6 = 65_527;

/**
 * Reads an address of UDP; `udp://` before it is not needed.
 *
 * @param text The address, as a person types it.
 * @param defaults What to fill in where the text is silent.
 * @returns The address.
 * @throws {SyntaxError} If the text is not an address, or not one of UDP.
 * @throws {RangeError} If the port is above 65,535.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(parseUdpAddress("[::1]:53"), {
 *   transport: "udp",
 *   hostname: "::1",
 *   port: 53,
 * });
 * ```
 */
export function parseUdpAddress(
  text: string,
  defaults: AddressDefaults = {},
): NetAddress {
  const address = parseAddress(text, { ...defaults, transport: "udp" });
  if (address.transport === "udp") return address;
  throw new SyntaxError(
    `Cannot use "${text}" for datagrams: it must be udp://, not ${address.transport}`,
  );
}

/** A datagram that came. */
export interface Datagram {
  /** What it holds. The next datagram overwrites it. */
  payload: Uint8Array;
  /** Who sent it, as {@linkcode UdpSocket.send} takes it. */
  peer: Deno.NetAddr;
  /** Whether it was longer than what was asked for, and lost its end. */
  cut: boolean;
  /** When it was taken from the system: `performance.now()`, in milliseconds. */
  arrival: number;
}

/** Options for {@linkcode UdpSocket.receive}. */
export interface ReceiveOptions {
  /**
   * Longest payload that is taken whole, in bytes.
   *
   * @default {65_535}
   */
  maxSize?: number;
  /** Ends the loop, and closes the socket. */
  signal?: AbortSignal;
  /** How long to wait for a datagram, in milliseconds; for ever if not given. */
  timeout?: number;
  /** Whether to give what a peer sent; else it is as if it had not come. */
  accept?: (peer: Deno.NetAddr) => boolean;
}

/** A datagram does not fit: the network carries none of its length. */
export class DatagramTooLongError extends RangeError {
  /** Length of the datagram, in bytes. */
  readonly length: number;
  /** What fits, in bytes. */
  readonly limit: number;

  /**
   * Makes the error.
   *
   * @param length Length of the datagram, in bytes.
   * @param limit What fits, in bytes.
   */
  constructor(length: number, limit: number) {
    const family = limit === MAX_PAYLOAD_IPV4 ? "IPv4" : "IPv6";
    super(
      `Cannot send a datagram of ${length} bytes: over ${family} it holds at most ${limit}`,
    );
    this.name = "DatagramTooLongError";
    this.length = length;
    this.limit = limit;
  }
}

/**
 * A UDP socket: sends to anybody, hears everybody.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const loopback = { transport: "udp", hostname: "127.0.0.1", port: 0 } as const;
 * using receiver = new UdpSocket(loopback);
 * using sender = new UdpSocket(loopback);
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
  /** Longest payload that it sends, in bytes. */
  readonly limit: number;
  #socket: Deno.DatagramConn;
  #asked: NetAddress;
  #closed = false;

  /**
   * Opens a socket.
   *
   * @param address Where to bind it; port 0 is any free one.
   * @param options Whether other sockets may have the port too, as those that
   * hear the same multicast group need it; and who shall be sent to, so that an
   * error can name the permission for all of it.
   * @throws {Error} If the system refuses, or Deno has not been asked for UDP.
   */
  constructor(
    address: NetAddress,
    options: { shared?: boolean; to?: NetAddress } = {},
  ) {
    const { hostname, port } = this.#asked = address;
    const { shared, to } = options;
    // In Deno 2 the function is there only with the flag, or deno.json's.
    if (typeof Deno.listenDatagram !== "function") {
      throw new Error(
        "Cannot open a UDP socket: Deno has it only with a flag; add --unstable-net after `deno run`",
      );
    }
    try {
      this.#socket = Deno.listenDatagram({
        transport: "udp",
        hostname,
        port,
        reuseAddress: shared,
        // Off, nobody on this machine would hear what it sends to a group.
        loopback: true,
      });
    } catch (error) {
      throw explain(
        error,
        `listen on ${formatAddress(address)}`,
        permissionFor(address, ...to ? [to] : []),
      );
    }
    this.address = this.#socket.addr as Deno.NetAddr;
    this.limit = this.address.hostname.includes(":")
      ? MAX_PAYLOAD_IPV6
      : MAX_PAYLOAD_IPV4;
  }

  /**
   * Sends one datagram. That it is sent does not mean that anybody gets it.
   *
   * @param payload What it holds; no bytes are a datagram too.
   * @param to Who shall get it.
   * @throws {DatagramTooLongError} If it does not fit.
   * @throws {Error} If the system refuses.
   */
  async send(
    payload: Uint8Array,
    to: NetAddress | Deno.NetAddr,
  ): Promise<void> {
    if (payload.length > this.limit) {
      throw new DatagramTooLongError(payload.length, this.limit);
    }
    const address: NetAddress = {
      transport: "udp",
      hostname: to.hostname,
      port: to.port,
    };
    try {
      await this.#socket.send(payload, address as Deno.NetAddr);
    } catch (error) {
      const attempt = `send to ${formatAddress(address)}`;
      const hint = this.#hint(error, address);
      if (hint !== undefined) {
        throw new Error(`Cannot ${attempt}: ${hint}`, { cause: error });
      }
      throw explain(error, attempt, permissionFor(this.#asked, address));
    }
  }

  /** What the codes of UDP mean here; `undefined` for those of any socket. */
  #hint(error: unknown, { hostname }: NetAddress): string | undefined {
    const { code } = error as { code?: string };
    const own = formatAddress(this.address);
    if (code === "EAFNOSUPPORT") {
      const other = this.address.hostname.includes(":") ? "0.0.0.0" : "[::]";
      return `the socket is bound to ${own} and speaks another version of IP; bind it to ${other}:0 (--bind)`;
    }
    if (code === "EINVAL") {
      return `from ${own} no way leads there; bind the socket to another address (--bind)`;
    }
    return code === "EMSGSIZE"
      ? `the datagram is too long for the way to ${hostname}`
      : undefined;
  }

  /**
   * Gives the datagrams, one at a time and only when asked for one.
   *
   * All of them are read into one buffer. Whoever takes long over a datagram
   * makes the system drop those that come meanwhile; memory does not grow.
   *
   * @param options How long, how large, until when.
   * @returns The datagrams, until the signal.
   * @throws {Deno.errors.TimedOut} If none comes for `timeout`; the socket is
   * closed then.
   */
  async *receive(
    options: ReceiveOptions = {},
  ): AsyncGenerator<Datagram, void> {
    const { maxSize = 65_535, signal, timeout = Infinity, accept } = options;
    // A longer datagram is cut in silence. One byte more tells of it.
    const buffer = new Uint8Array(maxSize + 1);
    const close = () => this[Symbol.dispose]();
    signal?.addEventListener("abort", close, { once: true });
    if (signal?.aborted) close();
    using silence = new Silence(timeout, close);
    try {
      for (;;) {
        let received: [Uint8Array, Deno.Addr];
        try {
          received = await this.#socket.receive(buffer);
        } catch (error) {
          if (this.#closed) break;
          if (isOfEarlierSend(error)) continue;
          const own = formatAddress(this.address);
          throw explain(error, `receive on ${own}`, "");
        }
        const [bytes, peer] = received as [Uint8Array, Deno.NetAddr];
        if (accept?.(peer) === false) continue;
        const arrival = performance.now();
        const cut = bytes.length > maxSize;
        const payload = cut ? bytes.subarray(0, maxSize) : bytes;
        silence.endedAt(arrival);
        yield { payload, peer, cut, arrival };
        silence.beginsAgain();
      }
      if (!silence.over) return;
      throw new Deno.errors.TimedOut(
        `no datagram came within ${timeout / 1000}s`,
      );
    } finally {
      signal?.removeEventListener("abort", close);
    }
  }

  /**
   * Joins a multicast group: what is sent to it is heard from now on.
   *
   * @param group The group, and on which interface.
   * @returns What leaves the group again.
   * @throws {Error} If there is no such interface.
   */
  join(group: Group): Promise<{ leave: () => Promise<void> }> {
    return joinGroup(this.#socket, group);
  }

  /**
   * Says how many routers what is sent to groups may pass, and one more.
   *
   * @param ttl 0 for this machine, 1 for this network, up to 255.
   * @param group The group it is for. Only for IPv4 Deno can do it.
   */
  async setMulticastTtl(ttl: number, group: Group): Promise<void> {
    // Deno sets it on a membership only; on the socket it stays.
    const membership = await joinGroup(this.#socket, group);
    if (!("setTTL" in membership)) {
      throw new Error("Cannot set the TTL: Deno can for IPv4 groups only");
    }
    await membership.setTTL(ttl);
    await membership.leave();
  }

  /** Closes the socket, which may have been done before. */
  [Symbol.dispose](): void {
    if (!this.#closed) this.#socket.close();
    this.#closed = true;
  }
}

/**
 * On Windows, receiving tells what became of a datagram that *we* sent: nobody
 * was there. Others may still have something to say.
 */
function isOfEarlierSend(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionRefused;
}
