/**
 * The way to a web server, step by step and timed: connect, shake hands, ask,
 * and wait for the first byte.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { handshake } from "./connect.ts";
import { meaningOf, StepError, type StepName } from "./meaning.ts";
import { type Attempt, race } from "./race.ts";
import { isIpAddress, isLookupError, whyUnresolved } from "./resolve.ts";
import { StatusLineReader } from "./status_line.ts";
import { type Step, Stopwatch } from "./steps.ts";
import { writeAll } from "./stream.ts";

export { StepError, type StepName } from "./meaning.ts";

/** What to ask, and whom. */
export interface Target {
  /** A name or an address; certificate and `Host` header are for it. */
  hostname: string;
  /** The port. */
  port: number;
  /** Whether to shake hands over TLS first. */
  tls: boolean;
  /** Which page's head to ask for, as `/`. */
  path: string;
}

/** How far it went. */
export interface Probe {
  /** How connecting to each address went. */
  attempts: Attempt[];
  /** Address and port that took the connection. */
  address?: string;
  /** The steps taken, a failed one too. */
  steps: Step[];
  /** The answer's first line, safe for a terminal. */
  status?: string;
  /** What ended it early. */
  error?: StepError;
}

/** Options for {@linkcode probe}. */
export interface ProbeOptions {
  /** Ends it when aborted; its reason is what is told. */
  signal: AbortSignal;
  /** Where the steps go; resolving may be there already. */
  stopwatch?: Stopwatch;
  /** Why DNS gave no addresses, where the system is to resolve the name. */
  dnsError?: unknown;
}

/**
 * Connects to the first of the addresses that takes the connection, and asks
 * for the head of a page.
 *
 * @param target What to ask, and whom.
 * @param hostnames The addresses, in the order to try them; or the name, for
 * the system to resolve.
 * @param options When to give up, and what was done before.
 * @returns How far it went; a failed step is in `error`, never thrown.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const server = Deno.serve(
 *   { hostname: "127.0.0.1", port: 0, onListen() {} },
 *   () => new Response("hello"),
 * );
 * const target = { hostname: "localhost", tls: false, path: "/" };
 * const { port } = server.addr;
 * const hosts = ["127.0.0.1"];
 * const { signal } = new AbortController();
 * const { status } = await probe({ ...target, port }, hosts, { signal });
 * assertEquals(status, "HTTP/1.1 200 OK");
 * await server.shutdown();
 * ```
 */
export async function probe(
  target: Target,
  hostnames: readonly string[],
  options: ProbeOptions,
): Promise<Probe> {
  const { signal, stopwatch = new Stopwatch() } = options;
  const { steps } = stopwatch;
  const byName = hostnames.some((hostname) => !isIpAddress(hostname));
  const step = byName ? "resolve+connect" : "connect";
  const { conn, attempts } = await stopwatch.time(
    step,
    () => race(hostnames, target.port, { signal }),
  );
  if (conn === undefined) {
    const error = whyUnconnected(target, step, attempts, options);
    return { attempts, steps, error };
  }
  const address = formatAddress(conn.remoteAddr);
  const conversation = new Conversation(conn, target, signal, stopwatch);
  try {
    return { attempts, address, steps, status: await conversation.run() };
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    return { attempts, address, steps, error };
  }
}

/** Says for what reasons nobody took the connection, each of them once. */
function whyUnconnected(
  { hostname, port }: Target,
  step: StepName,
  attempts: Attempt[],
  { signal, dnsError }: ProbeOptions,
): StepError {
  const [first] = attempts.flatMap(({ error }) => error ?? []);
  if (step === "resolve+connect" && isLookupError(first)) {
    return new StepError("resolve", hostname, whyUnresolved(dnsError, first));
  }
  if (dnsError instanceof Deno.errors.TimedOut && signal.aborted) {
    const reason = meaningOf("resolve", signal.reason);
    return new StepError("resolve", hostname, reason);
  }
  const addresses = new Map<string, string[]>();
  for (const { hostname, error = signal.reason } of attempts) {
    const address = formatAddress({ transport: "tcp", hostname, port });
    const reason = meaningOf(step, error, `--allow-net=${address}`);
    addresses.set(reason, [...addresses.get(reason) ?? [], address]);
  }
  const where = formatAddress({ transport: "tcp", hostname, port });
  const [[reason, those], ...others] = addresses;
  if (others.length === 0) {
    return new StepError(step, andAddresses(where, those), reason);
  }
  const reasons = [...addresses].map(([reason, those]) =>
    `${those.join(", ")}: ${reason}`
  );
  return new StepError(step, where, reasons.join("; "));
}

/** What was asked for, and what it came to where that is not the same. */
function andAddresses(where: string, addresses: string[]): string {
  const list = addresses.join(", ");
  return list === where ? where : `${where} (${list})`;
}

/** The steps over a connection, which is closed at the end. */
class Conversation {
  #conn: Deno.TcpConn | Deno.TlsConn;
  #target: Target;
  #where: string;
  #signal: AbortSignal;
  #stopwatch: Stopwatch;

  constructor(
    conn: Deno.TcpConn,
    target: Target,
    signal: AbortSignal,
    stopwatch: Stopwatch,
  ) {
    this.#conn = conn;
    this.#target = target;
    this.#signal = signal;
    this.#stopwatch = stopwatch;
    const { hostname, port } = target;
    this.#where = andAddresses(
      formatAddress({ transport: "tcp", hostname, port }),
      [formatAddress(conn.remoteAddr)],
    );
  }

  /** Takes the steps; gives the first line of the answer. */
  async run(): Promise<string> {
    const close = () => this.#conn[Symbol.dispose]();
    this.#signal.addEventListener("abort", close, { once: true });
    try {
      if (this.#target.tls) await this.#take("tls", () => this.#startTls());
      const reader = new StatusLineReader(this.#conn);
      await this.#take("first byte", async () => {
        const request = new TextEncoder().encode(headRequest(this.#target));
        await writeAll(this.#conn, request);
        await reader.start();
      });
      // What comes after the first byte is not that step's time any more.
      return await this.#explain("first byte", () => reader.finish());
    } finally {
      this.#signal.removeEventListener("abort", close);
      close();
    }
  }

  #take<Value>(step: StepName, work: () => Promise<Value>): Promise<Value> {
    return this.#explain(step, () => this.#stopwatch.time(step, work));
  }

  async #explain<Value>(
    step: StepName,
    work: () => Promise<Value>,
  ): Promise<Value> {
    try {
      this.#signal.throwIfAborted();
      return await work();
    } catch (error) {
      // A read that is ended by closing has no reason of its own.
      const cause = this.#signal.aborted ? this.#signal.reason : error;
      throw new StepError(step, this.#where, meaningOf(step, cause));
    }
  }

  async #startTls(): Promise<void> {
    // Certificates know no zones and no final dot.
    const hostname = this.#target.hostname.split("%")[0].replace(/\.$/, "");
    const conn = await Deno.startTls(this.#conn as Deno.TcpConn, { hostname });
    this.#conn = conn;
    await handshake(conn, this.#signal);
  }
}

/** The question, RFC 9112 3. */
function headRequest({ hostname, port, tls, path }: Target): string {
  const [name] = hostname.split("%");
  const host = formatAddress({ transport: "tcp", hostname: name, port });
  // The usual port goes without saying.
  const header = host.replace(tls ? /:443$/ : /:80$/, "");
  return `HEAD ${path} HTTP/1.1\r\nHost: ${header}\r\nConnection: close\r\n\r\n`;
}
