/**
 * What to connect to for a name: its addresses, or the name itself where DNS
 * cannot be asked.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { isIpAddress, resolve, type ResolveOptions } from "./resolve.ts";
import type { Stopwatch } from "./steps.ts";

/** What to connect to, and how that was found. */
export interface Hosts {
  /** What to connect to, in this order: addresses, or the name alone. */
  hostnames: string[];
  /** The addresses that are known, whether Deno may connect to them or not. */
  addresses: string[];
  /** Who turns the name into addresses; `nobody` where it is one already. */
  resolver: "DNS" | "system" | "nobody";
  /** Why the name is left as it is, if it is. */
  error?: unknown;
}

/**
 * Finds out what to connect to.
 *
 * The name itself is left, for `Deno.connect` to have it resolved by the
 * system, where DNS gives no address, where Deno may not ask the name servers,
 * and where it may connect to the name but to none of its addresses.
 *
 * @param hostname A name or an address.
 * @param port The port that is connected to.
 * @param stopwatch Where the step `resolve` goes.
 * @param options Deadline and name server.
 * @returns What to connect to; never nothing.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Stopwatch } from "./steps.ts";
 *
 * const { hostnames } = await findHosts("127.0.0.1", 80, new Stopwatch());
 * assertEquals(hostnames, ["127.0.0.1"]);
 * ```
 */
export async function findHosts(
  hostname: string,
  port: number,
  stopwatch: Stopwatch,
  options: ResolveOptions = {},
): Promise<Hosts> {
  const hostnames = [hostname];
  if (isIpAddress(hostname)) {
    return { hostnames, addresses: hostnames, resolver: "nobody" };
  }
  try {
    const addresses = await stopwatch.time(
      "resolve",
      () => resolve(hostname, options),
    );
    const allowed = addresses.filter((address) => mayConnect(address, port));
    if (allowed.length === 0) {
      const error = new Deno.errors.NotCapable("its addresses are not allowed");
      return { hostnames, addresses, resolver: "DNS", error };
    }
    return { hostnames: allowed, addresses, resolver: "DNS" };
  } catch (error) {
    // Nobody was asked, so it took no time.
    if (error instanceof Deno.errors.NotCapable) stopwatch.steps.pop();
    return { hostnames, addresses: [], resolver: "system", error };
  }
}

function mayConnect(hostname: string, port: number): boolean {
  const host = formatAddress({ transport: "tcp", hostname, port });
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}
