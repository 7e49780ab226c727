// `ClientLog`: what a server logs about its clients.
import { formatAddress } from "../address.ts";
import { describeError, reasonFor } from "../tcp/errors.ts";
import type { Handler } from "../tcp/serve.ts";
import { log } from "./log.ts";
import { OutputError } from "./output.ts";

/** Logs that a client comes or goes, or why it cannot stay. */
export class ClientLog {
  #served = new Set<Deno.Conn>();
  #counted = new WeakSet<Deno.Conn>();
  #counts = new Map<string, number>();

  /** Tells where clients can come to. */
  listening(address: string, mode: string, framing: string): void {
    const what = framing === "raw" ? mode : `${mode}, ${framing}`;
    const about = { address, mode, framing };
    log.info("listening", `Listening on ${address} (${what})`, about);
  }

  tell(event: string, conn: Deno.Conn, more = "", details = {}): void {
    if (log.quiet || this.#counted.has(conn)) return;
    const peer = clientName(conn);
    log.info(event, `${peer} ${event}${more}`, { peer, ...details });
  }

  /** Tells of the first, second, fourth, eighth: they may come in floods. */
  count(what: string, conn: Deno.Conn, reason: string, event?: string): void {
    const count = 1 + (this.#counts.get(what) ?? 0);
    this.#counts.set(what, count);
    const fate = what.split(" ").at(-1)!;
    // One that is dropped is mostly the only one.
    const isAlone = count === 1 && fate === "dropped";
    const more = isAlone ? reason : `${reason} (${count} ${fate} so far)`;
    const isTold = Number.isInteger(Math.log2(count));
    if (isTold) this.tell(event ?? fate, conn, `: ${more}`, { reason, count });
    this.#counted.add(conn);
  }

  /** Tells of a client, and serves it. */
  serve(conn: Deno.Conn, handler: Handler): ReturnType<Handler> {
    this.tell("connected", conn);
    this.#served.add(conn);
    return handler(conn);
  }

  /** Tells of a client that has been served. */
  closed(conn: Deno.Conn): void {
    this.#served.delete(conn);
    this.tell("closed", conn);
  }

  /** Tells what went wrong; throws it where that was the only client. */
  fail(error: unknown, conn?: Deno.Conn, only = false): void {
    if (error instanceof OutputError) throw error; // its screen is gone
    const reason = reasonFor(error);
    if (!conn) return log.error(`Cannot accept a connection: ${reason}`);
    if (!this.#served.delete(conn)) {
      return this.count("unserved clients were dropped", conn, reason);
    }
    if (only) throw describeError(error, `serve ${clientName(conn)}`, "");
    this.tell("dropped", conn, `: ${reason}`, { reason });
  }

  /** Tells of a stop, and how long it may take, in milliseconds. */
  stopping(grace: number): void {
    if (this.#served.size === 0) return;
    const most = `${grace / 1000}s to end; a second signal ends them at once`;
    log.info("stopping", `Stopping: open connections have ${most}`);
  }

  /** Tells how many there were of those that are only counted. */
  [Symbol.dispose](): void {
    for (const [what, count] of this.#counts) {
      if (count > 1) log.info("total", `${count} ${what}`, { count });
    }
  }
}

/** A client's address; that of a unix socket mostly has none. */
function clientName({ remoteAddr }: Deno.Conn): string {
  const nameless = "path" in remoteAddr && !remoteAddr.path;
  return nameless ? "a local client" : formatAddress(remoteAddr);
}
