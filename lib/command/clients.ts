// `ClientLog`: what a server tells of its clients.
import { formatAddress } from "../address.ts";
import { describeError, reasonFor } from "../tcp/errors.ts";
import { log } from "./log.ts";
import { OutputError } from "./output.ts";

// Tells of each client that it comes, goes, or why it cannot stay; of a flood of
// those that are not served, how many they are.
export class ClientLog {
  #served = new Set<Deno.Conn>();
  #checks = new WeakSet<Deno.Conn>();
  #counts = new Map<string, number>();

  /** Tells where clients can come to. */
  listening(address: string, mode: string, framing: string): void {
    const what = framing === "raw" ? mode : `${mode}, ${framing}`;
    const about = { address, mode, framing };
    log.info("listening", `Listening on ${address} (${what})`, about);
  }

  tell(event: string, conn: Deno.Conn, more = "", details = {}): void {
    if (log.quiet || this.#checks.has(conn)) return;
    const peer = clientName(conn);
    log.info(event, `${peer} ${event}${more}`, { peer, ...details });
  }

  /** Tells of the 1st, 2nd, 4th client of a kind: a flood must not fill the log. */
  count(kind: string, event: string, conn: Deno.Conn, reason: string): void {
    const count = 1 + (this.#counts.get(`${kind} ${event}`) ?? 0);
    this.#counts.set(`${kind} ${event}`, count);
    if (!Number.isInteger(Math.log2(count))) return;
    // The first is mostly the only one.
    const isAlone = count === 1 && event === "dropped";
    const more = isAlone ? "" : ` (${count} ${event} so far)`;
    this.tell(event, conn, `: ${reason}${more}`, { reason, [event]: count });
  }

  /** Counts a load balancer's health check, and tells no more of it. */
  check(conn: Deno.Conn, event: "answered" | "ignored"): void {
    this.count("health check", event, conn, "it is a health check");
    this.#checks.add(conn);
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
    const wasServed = conn && this.#served.delete(conn);
    if (!conn) log.error(`Cannot accept a connection: ${reason}`);
    else if (wasServed && only) {
      throw describeError(error, `serve ${clientName(conn)}`, "");
    } else if (wasServed) this.tell("dropped", conn, `: ${reason}`, { reason });
    else this.count("unserved client", "dropped", conn, reason);
  }

  /** Tells of a stop, and that it may take so many milliseconds. */
  stopping(grace: number): void {
    if (this.#served.size === 0) return;
    const most = `${grace / 1000}s to end; a second signal ends them at once`;
    log.info("stopping", `Stopping: open connections have ${most}`);
  }

  [Symbol.dispose](): void {
    for (const [what, count] of this.#counts) {
      const [, kind, event] = /(.*) (.*)/.exec(what)!;
      const were = count === 1 ? `${kind} was` : `${kind}s were`;
      log.info(event, `${count} ${were} ${event}`, { [event]: count });
    }
  }
}

/** Its address; the other end of a unix socket mostly has none. */
function clientName({ remoteAddr }: Deno.Conn): string {
  const nameless = "path" in remoteAddr && !remoteAddr.path;
  return nameless ? "a local client" : formatAddress(remoteAddr);
}
