/**
 * TCP, TLS and unix sockets: listen, serve, connect, and carry bytes.
 *
 * @module
 */
import { type Address, formatAddress, permissionFor } from "./address.ts";
import { describeError } from "./tcp/errors.ts";

export { connect, type ConnectOptions } from "./tcp/connect.ts";
export { isGonePeer } from "./tcp/errors.ts";
export { type Handler, serve, type ServeOptions } from "./tcp/serve.ts";
export {
  type ChunkOptions,
  chunks,
  concatenate,
  copy,
  type Reader,
  writeAll,
  type Writer,
} from "./tcp/stream.ts";

/** Options for {@linkcode listen}. */
export interface ListenOptions {
  /**
   * How many connections may wait to be accepted. Deno's own 511 makes clients
   * wait a second and more where 2,000 come at once.
   *
   * @default {4096}
   */
  backlog?: number;
  /** The certificate for TLS, as PEM text. */
  cert?: string;
  /** The private key that belongs to it, as PEM text. */
  key?: string;
  /**
   * Lets several processes listen on one port; Linux deals connections out.
   *
   * @default {false}
   */
  reusePort?: boolean;
}

/**
 * Binds an address and listens on it.
 *
 * @param address Where to listen. `tls:` needs a certificate and its key.
 * @param options Backlog, certificate, sharing of the port.
 * @returns The listener; its `addr` has the port that the system chose for 0.
 * @throws {Deno.errors.AddrInUse} If something else listens there.
 * @throws {Deno.errors.NotCapable} If Deno's permissions do not cover it.
 * @throws {Deno.errors.InvalidData} If the certificate cannot be read.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const address = { transport: "tcp" as const, hostname: "127.0.0.1", port: 0 };
 * using listener = listen(address);
 * assertEquals(listener.addr.transport, "tcp");
 * ```
 */
export function listen(
  address: Address,
  options: ListenOptions = {},
): Deno.Listener {
  const { backlog = 4096, cert, key, reusePort = false } = options;
  try {
    if (address.transport === "unix") {
      return Deno.listen({ transport: "unix", path: address.path });
    }
    if (address.transport === "udp") {
      throw new TypeError("datagrams have no connections to listen for");
    }
    if (reusePort && typeof Deno.listenDatagram !== "function") {
      // Deno would end the process here.
      throw new TypeError(
        "sharing a port needs a flag; add --unstable-net after `deno run`",
      );
    }
    const { hostname, port } = address;
    const common = { hostname, port, tcpBacklog: backlog, reusePort };
    if (address.transport === "tcp") return Deno.listen(common);
    if (cert === undefined || key === undefined) {
      throw new TypeError("TLS needs a certificate and its key");
    }
    return Deno.listenTls({ ...common, cert, key });
  } catch (error) {
    throw describeError(
      error,
      `listen on ${formatAddress(address)}`,
      permissionFor(address),
      address.transport === "unix" ? whyNoUnixSocket(error) : undefined,
    );
  }
}

function whyNoUnixSocket(error: unknown): string | undefined {
  if (error instanceof Deno.errors.AddrInUse) {
    return "the file is there: another server's, or left behind by one that was killed; then remove it";
  }
  return error instanceof Deno.errors.NotFound
    ? "there is no such folder"
    : undefined;
}
