/**
 * From a name to its addresses.
 *
 * @module
 */
import { Deadline } from "./deadline.ts";

/** Options for {@linkcode resolve}. */
export interface ResolveOptions {
  /** Gives up when aborted. */
  signal?: AbortSignal;
  /**
   * How long to wait for an answer, in milliseconds.
   *
   * @default {5_000}
   */
  timeout?: number;
  /** Whom to ask, if not the name servers of the system. */
  nameServer?: { ipAddr: string; port?: number };
}

/**
 * Says whether a host is an address already, not a name.
 *
 * @param hostname A host as `parseAddress` gives it.
 * @returns Whether there is nothing to look up.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const hosts = ["::1", "127.0.0.1", "one.one.one.one"];
 * assertEquals(hosts.map(isIpAddress), [true, true, false]);
 * ```
 */
export function isIpAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d+(\.\d+){3}$/.test(hostname);
}

/**
 * Asks DNS for the IPv6 and IPv4 addresses of a name, both at once. Deno looks
 * into the system's hosts file first, like the system itself.
 *
 * Where only one of the two questions is answered, its answer is all there is:
 * some networks swallow the question for IPv6.
 *
 * @param hostname The name; an address is its own answer.
 * @param options Deadline and name server.
 * @returns The addresses in the order to try them: IPv6 and IPv4 by turns
 * (RFC 8305 4), at least one.
 * @throws {Deno.errors.NotFound} If a name server answered, but without an
 * address: there is no such name, or the server refuses.
 * @throws {Deno.errors.TimedOut} If no name server answers.
 * @throws {Deno.errors.NotCapable} If Deno's permissions do not cover every
 * name server.
 * @throws {Deno.errors.NotSupported} If Deno asks DNS for no such name, as one
 * with an underscore.
 * @throws {Error} If the network is down.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(await resolve("::1"), ["::1"]);
 * ```
 */
export async function resolve(
  hostname: string,
  options: ResolveOptions = {},
): Promise<string[]> {
  const { timeout = 5000, nameServer } = options;
  if (isIpAddress(hostname)) return [hostname];
  using deadline = new Deadline(timeout, options.signal);
  const { signal } = deadline;
  const answers = await Promise.allSettled([
    Deno.resolveDns(hostname, "AAAA", { nameServer, signal }),
    Deno.resolveDns(hostname, "A", { nameServer, signal }),
  ]);
  const [ipv6, ipv4] = answers.map((answer) =>
    answer.status === "fulfilled" ? answer.value : []
  );
  const addresses = takeTurns([...new Set(ipv6)], [...new Set(ipv4)]);
  if (addresses.length > 0) return addresses;
  const problems = answers.flatMap((answer) =>
    answer.status === "rejected" ? [answer.reason] : []
  );
  if (problems.some(({ message }) => /\blabel\b/i.test(message))) {
    throw new Deno.errors.NotSupported("DNS is not asked for such a name");
  }
  // Silence says more about the network than an empty answer.
  throw problems.find((problem) => !isNotFound(problem)) ?? problems[0] ??
    new Deno.errors.NotFound("no records found");
}

function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound;
}

function takeTurns(first: string[], second: string[]): string[] {
  const length = Math.max(first.length, second.length);
  const turns = Array.from({ length }, (_, i) => [first[i], second[i]]);
  return turns.flat().filter((address) => address !== undefined);
}

/**
 * Says whether connecting by name failed already at the name. Deno has no
 * class for that, and the system's words differ.
 *
 * @param error What `Deno.connect` threw.
 * @returns Whether the system could not resolve the name.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 *
 * const words = "failed to lookup address information: Name or service not known";
 * assert(isLookupError(new Error(words)));
 * ```
 */
export function isLookupError(error: unknown): error is Error {
  return error instanceof Error &&
    /lookup address|nodename|No such host/i.test(error.message);
}

/**
 * Says why a name has no addresses, by what DNS and the system said to it.
 *
 * @param dnsError What {@linkcode resolve} threw.
 * @param systemError What connecting by name threw; see
 * {@linkcode isLookupError}.
 * @returns The reason, without a period.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   whyUnresolved(
 *     new Deno.errors.NotFound("no records found"),
 *     new Error("failed to lookup address information: Name not known"),
 *   ),
 *   "there is no such name, or it has no address; is it spelled right, and is there a network?",
 * );
 * ```
 */
export function whyUnresolved(dnsError: unknown, systemError: Error): string {
  const answered = isNotFound(dnsError);
  const unasked = dnsError instanceof Deno.errors.NotCapable ||
    dnsError instanceof Deno.errors.NotSupported;
  // Linux tells "not now" from "no"; elsewhere the first question decides.
  const temporary = /temporary|try again/i.test(systemError.message);
  if (temporary && answered) {
    return "the name server answers, but with an error (SERVFAIL or REFUSED); it may have no network itself, or better luck later";
  }
  if (temporary || !answered && !unasked) {
    return "no name server answers (no DNS): is there a network? An address in place of the name needs no DNS";
  }
  return "there is no such name, or it has no address; is it spelled right, and is there a network?";
}
