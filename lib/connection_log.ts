/**
 * What a server says of its connections.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { reasonFor } from "./failure.ts";
import type { Log } from "./log.ts";
import { behindProxy } from "./proxy_protocol.ts";
import { type Handler, isGonePeer } from "./serve.ts";

/**
 * Says who comes, who goes, and why, a line each.
 *
 * @example
 * ```ts
 * import { assertMatch } from "@std/assert";
 * import { Log } from "./log.ts";
 *
 * const lines: string[] = [];
 * const write = (line: string) => lines.push(line);
 * const connections = new ConnectionLog(new Log({ write }));
 * connections.failed(new Deno.errors.PermissionDenied());
 * assertMatch(lines[0], /^Cannot accept a connection: the system does not/);
 * ```
 */
export class ConnectionLog {
  #log: Log;
  #refused = 0;

  /**
   * Makes a log of connections.
   *
   * @param log Where the lines go.
   */
  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Makes a handler that says when it begins and ends.
   *
   * @param handler What to do with a connection.
   * @returns The handler, for `serve`.
   */
  telling(handler: Handler): Handler {
    // What is kept for a line that nobody writes would be kept per connection.
    if (this.#log.quiet) return handler;
    return async (conn) => {
      const peer = peerName(conn);
      this.#log.info("connected", `${peer} connected`, { peer });
      await handler(conn);
      this.#log.info("closed", `${peer} closed`, { peer });
    };
  }

  /**
   * Makes a handler for connections that come with a PROXY header, which says
   * whom it has refused.
   *
   * @param handler What to do with a connection then.
   * @returns The handler, for `serve`.
   */
  behindProxy(handler: Handler): Handler {
    return behindProxy(handler, ({ message: reason }, conn) => {
      const peer = peerName(conn);
      const refused = ++this.#refused;
      const text = `${peer} refused: ${reason} (${refused} refused so far)`;
      this.#log.info("refused", text, { peer, reason, refused });
    });
  }

  /**
   * Says what became of a member of a room.
   *
   * @param event What: `joined`, `left`, `dropped`.
   * @param name The member's name.
   * @param conn Its connection.
   */
  member(event: string, name: string, conn: Deno.Conn): void {
    this.#log.info(event, `${peerName(conn)} ${event} as ${name}`, { name });
  }

  /**
   * Says what went wrong.
   *
   * @param error What was thrown.
   * @param conn By which conversation, if it was not by accepting.
   */
  failed(error: unknown, conn?: Deno.Conn): void {
    const reason = reasonFor(error);
    if (conn !== undefined) {
      const peer = peerName(conn);
      const text = `${peer} dropped: ${reason}`;
      this.#log.info("dropped", text, { peer, reason });
    } else if (isGonePeer(error)) {
      this.#log.debug("gone", "A client was gone at once");
    } else this.#log.error(`Cannot accept a connection: ${reason}`);
  }
}

/** The other end of a unix socket mostly has no name. */
function peerName({ remoteAddr }: Deno.Conn): string {
  return remoteAddr.transport === "unix" && !remoteAddr.path
    ? "a local client"
    : formatAddress(remoteAddr);
}
