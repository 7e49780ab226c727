/**
 * TCP, TLS and unix sockets: listen, serve, connect, and carry bytes.
 *
 * @module
 */
import { type Address, formatAddress, permissionFor } from "./address.ts";
import { describeError } from "./tcp/errors.ts";

export { connect, type ConnectOptions } from "./tcp/connect.ts";
export { type Handler, serve, type ServeOptions } from "./tcp/serve.ts";
export { chunks, copy, duplex, type DuplexEnd } from "./tcp/stream.ts";
export { type Reader, writeAll, type Writer } from "./tcp/stream.ts";

/** Options for {@linkcode listen}. */
export interface ListenOptions {
  /** Connections that may wait to be accepted; Deno has 511. @default {4096} */
  backlog?: number;
  /** The certificate for TLS, as PEM text. */
  cert?: string;
  /** The private key that belongs to it, as PEM text. */
  key?: string;
  /** Lets several processes listen on one port (Linux). @default {false} */
  reusePort?: boolean;
}

/**
 * Binds an address and listens on it.
 *
 * @param address Where to listen. `tls:` needs a certificate and its key.
 * @returns The listener; its `addr` has the port that the system chose for 0.
 * @throws {Deno.errors.AddrInUse} If something else listens there.
 * @throws {Deno.errors.NotCapable} If Deno's permissions do not cover it.
 * @throws {Deno.errors.InvalidData} If the certificate cannot be read.
 *
 * @example
 * ```ts
 * using _listener = listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
 * ```
 */
export function listen(
  address: Address,
  options: ListenOptions = {},
): Deno.Listener {
  const { backlog = 4096, cert = "", key = "", reusePort = false } = options;
  try {
    if (address.transport === "unix") return listenAtFile(address.path);
    if (address.transport === "udp") throw new TypeError("it is for datagrams");
    const canShare = Deno.build.os === "linux" && "listenDatagram" in Deno;
    if (reusePort && !canShare) {
      // Deno would ignore it elsewhere, and without the flag end the process.
      throw new TypeError(
        "only on Linux can processes share a port, and with a flag; add --unstable-net after `deno run`",
      );
    }
    const { hostname, port } = address;
    const common = { hostname, port, tcpBacklog: backlog, reusePort };
    if (address.transport === "tcp") return Deno.listen(common);
    return Deno.listenTls({ ...common, cert, key });
  } catch (error) {
    const attempt = `listen on ${formatAddress(address)}`;
    throw describeError(error, attempt, permissionFor(address));
  }
}

// Listens at a file, which is removed when the listener is closed. Deno would
// remove even another's file of that name: then the listener stays open.
function listenAtFile(path: string): Deno.Listener {
  const listener = Deno.listen({ transport: "unix", path });
  const dispose = listener[Symbol.dispose].bind(listener);
  let own = Deno.lstatSync(path).ino;
  function close(): void {
    try {
      if (Deno.lstatSync(path).ino !== own) return listener.unref();
      Deno.removeSync(path); // Deno itself does so somewhat later
    } catch {
      // The file is gone already.
    }
    own = null; // from now on another file may have the same number
    dispose();
  }
  return Object.assign(listener, { close, [Symbol.dispose]: close });
}
