// `ClientLog`: what a server tells of its clients.
import { formatAddress } from "../address.ts";
import { describeError, reasonFor } from "../tcp/errors.ts";
import { log } from "./log.ts";
import { OutputError } from "./output.ts";

/** Tells of each client that it comes, goes, or why it cannot stay. */
export class ClientLog {
  #served = new Set<Deno.Conn>();

  /** Tells where clients can come to. */
  listening(address: string, mode: string, framing: string): void {
    const what = framing === "raw" ? mode : `${mode}, ${framing}`;
    const about = { address, mode, framing };
    log.info("listening", `Listening on ${address} (${what})`, about);
  }

  tell(event: string, conn: Deno.Conn, more = "", details = {}): void {
    if (log.quiet) return;
    const peer = clientName(conn);
    log.info(event, `${peer} ${event}${more}`, { peer, ...details });
  }

  /** Serves a client, and tells of it. */
  async serve(conn: Deno.Conn, handler: (conn: Deno.Conn) => unknown) {
    this.tell("connected", conn);
    this.#served.add(conn);
    await handler(conn);
    this.#served.delete(conn);
    this.tell("closed", conn);
  }

  /** Tells what went wrong; throws it where that was the only client. */
  fail(error: unknown, conn?: Deno.Conn, only = false): void {
    if (error instanceof OutputError) throw error; // its screen is gone
    const reason = reasonFor(error);
    if (!conn) log.error(`Cannot accept a connection: ${reason}`);
    else if (this.#served.delete(conn) && only) {
      throw describeError(error, `serve ${clientName(conn)}`, "");
    } else this.tell("dropped", conn, `: ${reason}`, { reason });
  }

  /** Tells of a stop, and that it may take so many milliseconds. */
  stopping(grace: number): void {
    if (this.#served.size === 0) return;
    const most = `${grace / 1000}s to end; a second signal ends them at once`;
    log.info("stopping", `Stopping: open connections have ${most}`);
  }
}

/** Its address; the other end of a unix socket mostly has none. */
function clientName({ remoteAddr }: Deno.Conn): string {
  const nameless = "path" in remoteAddr && !remoteAddr.path;
  return nameless ? "a local client" : formatAddress(remoteAddr);
}
