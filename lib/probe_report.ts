/**
 * What came of probing a web server: as an object for a program, and as a page
 * for a person.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import type { Hosts } from "./hosts.ts";
import { meaningOf, type StepName } from "./meaning.ts";
import type { Probe, Target } from "./probe.ts";
import type { Attempt } from "./race.ts";
import { drawSteps, type Step, totalOf } from "./steps.ts";

/** How one of the addresses did. */
export interface AddressReport {
  /** The address with its port. */
  address: string;
  /**
   * `won`: first to connect, or the fastest of those asked in turn; `answered`:
   * asked in turn, but not the fastest; `late`: still connecting when another
   * won; `untried`: not needed; `forbidden`: Deno's permissions do not cover it.
   */
  outcome: Attempt["outcome"] | "answered" | "forbidden";
  /** How long connecting took, in milliseconds. */
  milliseconds?: number;
  /** Why it failed. */
  reason?: string;
  /** The steps with this address, if each was asked in turn. */
  steps?: Step[];
  /** The first line of this address's answer, if each was asked in turn. */
  status?: string;
}

/** What came of it all. */
export interface Report {
  /** What was asked for. */
  host: string;
  /** Whether over TLS. */
  tls: boolean;
  /** Which page. */
  path: string;
  /** Who turned the name into addresses. */
  resolver: Hosts["resolver"];
  /** Why the connection was made by name, if it was. */
  byName?: string;
  /** How each address did, in the order they are tried. */
  addresses: AddressReport[];
  /** The address that won. */
  winner?: string;
  /** The steps; where each address was asked in turn, `resolve` alone. */
  steps: Step[];
  /** How long the steps took together, in milliseconds. */
  total: number;
  /** The first line of the answer. */
  status?: string;
  /** What ended it early. */
  error?: { step: StepName; message: string };
}

/**
 * Reports on one probe, of all addresses at once.
 *
 * @param target What was asked for.
 * @param hosts What its name came to.
 * @param probe How it went.
 * @returns The report.
 */
export function reportOnOne(
  target: Target,
  hosts: Hosts,
  probe: Probe,
): Report {
  const { attempts, address, steps, status, error } = probe;
  const addresses = attempts.map((attempt): AddressReport => {
    const { outcome, milliseconds, error } = attempt;
    const known = formatHost(attempt.hostname, target.port);
    return {
      address: outcome === "won" ? address! : known,
      outcome,
      milliseconds,
      reason: error === undefined
        ? undefined
        : meaningOf("connect", error, `--allow-net=${known}`),
    };
  });
  return {
    ...common(target, hosts, addresses),
    ...{ winner: address, steps, total: totalOf(steps), status },
    error: error && { step: error.step, message: error.message },
  };
}

/**
 * Reports on several probes, one for each address.
 *
 * @param target What was asked for.
 * @param hosts What its name came to.
 * @param steps The steps before: `resolve`, or none.
 * @param probes How each went, in the order of `hosts.hostnames`.
 * @returns The report.
 */
export function reportOnEach(
  target: Target,
  hosts: Hosts,
  steps: Step[],
  probes: readonly Probe[],
): Report {
  const answered = probes.filter(({ error }) => error === undefined);
  const [fastest] = answered.toSorted((a, b) =>
    totalOf(a.steps) - totalOf(b.steps)
  );
  const addresses = probes.map((probe, i): AddressReport => ({
    address: probe.address ?? formatHost(hosts.hostnames[i], target.port),
    outcome: probe.error ? "failed" : probe === fastest ? "won" : "answered",
    milliseconds: probe.attempts[0].milliseconds,
    reason: probe.error?.message,
    steps: probe.steps,
    status: probe.status,
  }));
  const [error] = fastest === undefined
    ? probes.flatMap(({ error }) => error ?? [])
    : [];
  return {
    ...common(target, hosts, addresses),
    ...{ winner: fastest?.address, steps, total: totalOf(steps) },
    error: error && { step: error.step, message: error.message },
  };
}

function common(target: Target, hosts: Hosts, tried: AddressReport[]) {
  const { hostname, port, tls, path } = target;
  const forbidden = hosts.addresses
    .map((hostname) => formatHost(hostname, port))
    .filter((known) => tried.every(({ address }) => address !== known))
    .map((address): AddressReport => {
      const reason = `Deno was not allowed to; it needs --allow-net=${address}`;
      return { address, outcome: "forbidden", reason };
    });
  return {
    ...{ host: formatHost(hostname, port), tls, path },
    resolver: hosts.resolver,
    byName: hosts.error === undefined ? undefined : whyByName(hosts),
    addresses: [...tried, ...forbidden],
  };
}

function whyByName({ addresses, error }: Hosts): string {
  if (addresses.length > 0) return "Deno may connect to no address of it";
  if (error instanceof Deno.errors.NotCapable) {
    return "Deno may not ask the name servers";
  }
  if (error instanceof Deno.errors.NotSupported) {
    return "Deno asks DNS for no such name";
  }
  return error instanceof Deno.errors.NotFound
    ? "DNS has no address for it"
    : "DNS does not answer";
}

function formatHost(hostname: string, port: number): string {
  return formatAddress({ transport: "tcp", hostname, port });
}

/**
 * Draws a report for a person: who won, bars to one scale, the answer.
 *
 * @param report The report.
 * @returns Lines, each with its end.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const drawn = drawReport({
 *   host: "example.com:80",
 *   tls: false,
 *   path: "/",
 *   resolver: "DNS",
 *   addresses: [{ address: "192.0.2.1:80", outcome: "won", milliseconds: 8 }],
 *   winner: "192.0.2.1:80",
 *   steps: [{ name: "connect", start: 0, milliseconds: 8 }],
 *   total: 8,
 *   status: "HTTP/1.1 200 OK",
 * });
 * assertEquals(drawn.split("\n").slice(0, 2), [
 *   "example.com:80 has 1 address:",
 *   "  192.0.2.1:80  connected after 8.0 ms: it won",
 * ]);
 * ```
 */
export function drawReport(report: Report): string {
  const { addresses, steps, status } = report;
  const width = Math.max(...addresses.map(({ address }) => address.length));
  const rows = addresses.map((address) =>
    `  ${address.address.padEnd(width)}  ${describe(address)}`
  );
  const inTurn = addresses.flatMap(({ steps }) => steps ? [steps] : []);
  const lines = [headline(report), ...rows, ""];
  if (inTurn.length === 0) {
    lines.push(...drawSteps(steps), "", status ?? "");
  } else {
    // One scale for all, so that they can be compared.
    const scale = Math.max(...[steps, ...inTurn].map(totalOf));
    if (steps.length > 0) lines.push(drawSteps(steps, { scale })[0], "");
    for (const { address, steps } of addresses) {
      if (steps) lines.push(address, ...drawSteps(steps, { scale }), "");
    }
    lines.pop();
  }
  return lines.map((line) => `${line}\n`).join("");
}

function headline({ host, resolver, byName, addresses }: Report): string {
  if (byName !== undefined) return `${host} is connected to by name: ${byName}`;
  if (resolver === "nobody") return `${host} is an address, not a name:`;
  const { length } = addresses;
  return `${host} has ${length} ${length === 1 ? "address" : "addresses"}:`;
}

function describe(row: AddressReport): string {
  const { outcome, milliseconds = 0, reason, steps, status } = row;
  const after = `after ${milliseconds.toFixed(1)} ms`;
  if (outcome === "failed" || outcome === "forbidden") return reason ?? outcome;
  if (steps !== undefined) {
    return outcome === "won" ? `${status}  (it won)` : `${status}`;
  }
  if (outcome === "won") return `connected ${after}: it won`;
  if (outcome === "late") return `not connected ${after}, when another was`;
  return "not needed";
}
