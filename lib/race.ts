/**
 * One connection out of several addresses: the first that connects wins, as in
 * "happy eyeballs" (RFC 8305 5).
 *
 * @module
 */

/** How connecting to one of the addresses went. */
export interface Attempt {
  /** The address, or a name for the system to resolve. */
  hostname: string;
  /**
   * `late` was still connecting when another won, `failed` has an error,
   * `untried` was not needed.
   */
  outcome: "won" | "late" | "failed" | "untried";
  /** How long it took, in milliseconds, until it ended or was ended. */
  milliseconds?: number;
  /** Why it failed. */
  error?: unknown;
}

/** Options for {@linkcode race}. */
export interface RaceOptions {
  /** Gives up when aborted; what still connects fails with its reason. */
  signal?: AbortSignal;
  /**
   * How much later than the one before an address is tried, in milliseconds,
   * unless that one has failed by then.
   *
   * @default {250}
   */
  delay?: number;
}

/** How a race went. */
export interface Race {
  /** The connection of the winner, if there is one. */
  conn?: Deno.TcpConn;
  /** How each address did, in the order given. */
  attempts: Attempt[];
}

/**
 * Connects to the first of several addresses that takes the connection.
 *
 * @param hostnames The addresses, in the order to try them.
 * @param port The port, the same for all.
 * @param options Delay, and when to give up.
 * @returns The connection, to be closed by the caller, and how each one did.
 * With no connection, every attempt has failed or was never made.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * // Nobody listens on the IPv6 address.
 * const hosts = ["::1", "127.0.0.1"];
 * const { conn, attempts } = await race(hosts, listener.addr.port);
 * conn?.close();
 * assertEquals(attempts.map(({ outcome }) => outcome), ["failed", "won"]);
 * ```
 */
export async function race(
  hostnames: readonly string[],
  port: number,
  options: RaceOptions = {},
): Promise<Race> {
  const { signal, delay = 250 } = options;
  const over = new AbortController();
  const ends = signal === undefined
    ? over.signal
    : AbortSignal.any([signal, over.signal]);
  const attempts = hostnames.map((hostname): Attempt => {
    return { hostname, outcome: "untried" };
  });
  let winner: Deno.TcpConn | undefined;

  async function run(attempt: Attempt): Promise<void> {
    const { hostname } = attempt;
    const start = performance.now();
    try {
      const conn = await Deno.connect({ hostname, port, signal: ends });
      attempt.outcome = winner === undefined ? "won" : "late";
      if (winner === undefined) winner = conn;
      else conn.close();
      over.abort();
    } catch (error) {
      attempt.outcome = winner === undefined ? "failed" : "late";
      if (winner === undefined) attempt.error = error;
    }
    attempt.milliseconds = performance.now() - start;
  }

  const running: Promise<void>[] = [];
  for (const attempt of attempts) {
    if (ends.aborted) break;
    const attempted = run(attempt);
    running.push(attempted);
    await untilDone(attempted, delay);
  }
  await Promise.all(running);
  return { conn: winner, attempts };
}

/** Waits until the work is done, but not longer than so many milliseconds. */
async function untilDone(work: Promise<void>, most: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, most);
  await Promise.race([work, promise]);
  clearTimeout(timer);
}
