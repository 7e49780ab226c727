/**
 * UDP: datagrams, each a message of its own, to anyone and from anyone.
 *
 * There is no connection. A datagram arrives whole or not at all; it may come
 * twice, or after one that was sent later; and the sender is not told.
 *
 * @module
 */
import { formatAddress, permissionFor } from "./address.ts";
import { type NetAddress, parseAddress } from "./address.ts";
import { describeError } from "./tcp/errors.ts";
import { after } from "./tcp/stream.ts";

/**
 * Reads an address of UDP; `udp://` before it is not needed.
 *
 * @throws {SyntaxError} If the text is not an address, or not one of UDP.
 */
export function parseUdpAddress(
  text: string,
  defaults: Partial<NetAddress> = {},
): NetAddress {
  const address = parseAddress(text, { ...defaults, transport: "udp" });
  if (address.transport === "udp") return address;
  throw new SyntaxError(`Cannot use "${text}": it must be udp://`);
}

/** A datagram that came, and from whom. The next one overwrites the payload. */
export type Datagram = { payload: Uint8Array; peer: Deno.NetAddr };

/** Windows' errors for a datagram *we* sent, or one too long for the buffer. */
const NOT_FINAL = /^Connection(Reset|Refused)\b|os error 100(40|52)\b/;
const MISBOUND =
  "no way leads there from where it is bound; bind it to [::]:0 or 0.0.0.0:0 (--bind)";

/**
 * A UDP socket: sends to anyone, hears anyone.
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
   * @param options `shared`: others may bind the same port, to hear a group.
   * `to`: where it will send, so that an error names the permission for both.
   * @throws {Error} If the system refuses, or `--unstable-net` is missing.
   */
  constructor(
    private readonly asked: NetAddress,
    { shared, to }: { shared?: boolean; to?: NetAddress } = {},
  ) {
    try {
      this.conn = Deno.listenDatagram({
        ...asked,
        transport: "udp",
        reuseAddress: shared,
        // Without it nobody on this machine hears what it sends to a group.
        loopback: true,
      });
    } catch (error) {
      const permission = permissionFor(asked, ...to ? [to] : []);
      const attempt = `listen on ${formatAddress(asked)}`;
      throw describeError(error, attempt, permission);
    }
    this.address = this.conn.addr as Deno.NetAddr;
  }

  /** Sends one datagram, or throws; being sent does not mean being received. */
  async send(payload: Uint8Array, to: NetAddress): Promise<void> {
    try {
      await this.conn.send(payload, to as Deno.NetAddr);
    } catch (error) {
      const { code } = error as { code?: string };
      const { hostname } = this.address;
      const isOther = hostname.includes(":") !== to.hostname.includes(":");
      const isFixed = !/^(::|0\.0\.0\.0)$/.test(hostname);
      const isMisbound = isOther ? code : isFixed && /^E(INV|ADDR)/.test(code!);
      const attempt = `send to ${formatAddress(to)}`;
      const why = isMisbound ? MISBOUND : undefined;
      throw describeError(error, attempt, permissionFor(this.asked, to), why);
    }
  }

  /**
   * Gives the datagrams, one at a time and only when asked for one, until the
   * socket is closed. Meanwhile the system drops those that it has no room for;
   * memory does not grow.
   *
   * @param timeout Silence, in milliseconds, after which the socket is closed.
   */
  receive(timeout: number = Infinity): AsyncIterable<Datagram> {
    // Larger than any datagram: Deno would silently cut what does not fit.
    const buffer = new Uint8Array(65_536);
    // Looking at the clock for each datagram would cost more.
    let looks = 0;
    const look = () => {
      if (looks++ === 16) this[Symbol.dispose]();
      else if (!this.#closed) after(timeout / 16, look);
    };
    if (timeout < Infinity) look();
    type Result = IteratorResult<Datagram, void>;
    const give = ([payload, peer]: [Uint8Array, Deno.Addr]): Result => {
      looks = -Infinity; // the caller may take its time
      return { value: { payload, peer: peer as Deno.NetAddr } };
    };
    const fail = (error: unknown): Result | Promise<Result> => {
      if (this.#closed) return { done: true, value: undefined };
      if (NOT_FINAL.test(`${error}`)) return next();
      throw describeError(error, "receive a datagram", "");
    };
    // No generator, no await: each would cost as much as counting a datagram.
    const next = (): Promise<Result> => {
      looks = 0;
      return this.conn.receive(buffer).then(give, fail);
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  /** Closes the socket, if it is still open. */
  [Symbol.dispose](): void {
    if (!this.#closed) this.conn.close();
    this.#closed = true;
  }
}
