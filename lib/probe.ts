// The way to a web server, each step timed: `probe` resolves the name, connects,
// shakes hands, asks for a page's head and waits for the first byte; `drawProbe`
// draws where the time went.
import {
  formatAddress,
  type NetAddress,
  parseAddress,
  permissionFor,
} from "./address.ts";
import { isLookupError, reasonFor } from "./tcp/errors.ts";
import { after, pause, type Reader, writeAll } from "./tcp/stream.ts";
import { safeLine } from "./text.ts";

/** Whom to ask, and what. */
export interface WebTarget extends NetAddress {
  tls: boolean;
  path: string;
}

/** The steps in their order: what each tries, and what its silence means. */
const STEPS = {
  "resolve": ["resolve", ""],
  // The system does both.
  "resolve+connect": ["resolve and connect to", "no DNS, or a firewall?"],
  "connect": ["connect to", "a black hole: a firewall drops the packets"],
  "tls": ["shake hands over TLS with", "no TLS? Leave --tls out"],
  "first byte": ["get a first byte from", "it stays silent; add --tls?"],
};
type StepName = keyof typeof STEPS;

/** A step that was taken; `start` counts from the beginning of the first. */
interface Step {
  name: StepName;
  start: number;
  milliseconds: number;
}

/** An address, or the name for the system to resolve, and how it did. */
interface AddressReport {
  address: string;
  /** Why the system has to resolve the name, if it has. */
  byName?: string;
  /** How far it went, and why no further. */
  step: StepName;
  reason?: string;
  /** `late`: another one won, as this was still connecting, or slower. */
  outcome: "won" | "late" | "failed" | "untried";
  milliseconds?: number; // until it was connected, or was not
  status?: string;
  /** With `all`: the steps on the way to this address. */
  steps: Step[];
}

/** Where the way to the server ended. */
type Failure = { step: StepName; message: string };

/** How far the way to the server went, as JSON has it. */
type Probe = Awaited<ReturnType<typeof probe>>;

class Stopwatch {
  readonly steps: Step[] = [];
  constructor(readonly tell: (what: string) => void) {}

  /** Takes a step and its time, also when it fails. */
  async time<Value>(name: StepName, step: () => Promise<Value>) {
    this.tell(`${name} ...`);
    const start = totalOf(this.steps);
    const begin = performance.now();
    try {
      return await step();
    } finally {
      const milliseconds = performance.now() - begin;
      this.steps.push({ name, start, milliseconds });
    }
  }
}

function totalOf(steps: Step[]): number {
  return steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

/** Asks the first address that answers, with `all` each in turn. */
export async function probe(
  target: WebTarget,
  { timeout, all = false }: { timeout: number; all?: boolean },
  tell: (what: string) => void = () => {},
) {
  const stopwatch = new Stopwatch(tell);
  const { steps } = stopwatch;
  // If the name servers are silent, half of the time is left for the system.
  const addresses = await resolve(target, timeout / 2, stopwatch);
  tell(`connecting to ${addresses.map(({ address }) => address).join(", ")}`);
  const ways = all ? addresses.map((row) => [row]) : [addresses];
  // Every address has its share of the time, however long the others take.
  const share = Math.max(0, timeout - totalOf(steps)) / ways.length;
  let error: Failure | undefined;
  for (const rows of ways) {
    const own = all ? new Stopwatch(tell) : stopwatch;
    error = await visit(target, rows, share, own) ?? error;
    if (all) rows[0].steps = own.steps;
  }
  const [won, ...slower] = addresses.filter(({ outcome }) => outcome === "won")
    .sort((a, b) => totalOf(a.steps) - totalOf(b.steps));
  for (const row of slower) row.outcome = "late";
  if (won) error = undefined;
  const { tls, path } = target;
  const { address: winner, status } = won ?? {};
  const [host, total] = [formatAddress(target), totalOf(steps)];
  return { host, tls, path, addresses, steps, total, winner, status, error };
}

const DNS_SILENT = "DNS does not answer";

/** Finds the addresses, or why the system has to. */
async function resolve(
  target: WebTarget,
  timeout: number,
  stopwatch: Stopwatch,
): Promise<AddressReport[]> {
  const reportOn = (hostname: string, byName?: string): AddressReport => {
    const address = formatAddress({ ...target, hostname });
    const step = byName ? "resolve+connect" : "connect";
    return { address, byName, step, outcome: "untried", steps: [] };
  };
  const { hostname } = target;
  if (/:|^\d+(\.\d+){3}$/.test(hostname)) return [reportOn(hostname)];
  const signal = AbortSignal.timeout(timeout);
  // Nobody can be asked at port 0: what answers is the hosts file. A name that
  // is there has no other addresses, whatever DNS knows.
  const nameServer = { ipAddr: "127.0.0.1", port: 0 };
  const search = () =>
    lookUp(hostname, { nameServer }).catch(() => lookUp(hostname, { signal }));
  let byName = "Deno may connect to no address of it";
  try {
    const found = await stopwatch.time("resolve", search);
    const reports = found.map((address) => reportOn(address));
    const reachable = ({ address: host }: AddressReport) =>
      Deno.permissions.querySync({ name: "net", host }).state === "granted";
    if (reports.some(reachable)) return reports;
  } catch (error) {
    byName = signal.aborted ? DNS_SILENT : "DNS has no address for it";
    if (error instanceof Deno.errors.NotCapable) {
      byName = "Deno may not ask the name servers";
      stopwatch.steps.pop(); // nobody was asked, so it took no time
    }
  }
  return [reportOn(hostname, byName)];
}

/** Asks for both families at once; gives IPv6 and IPv4 by turns (RFC 8305 4). */
async function lookUp(name: string, options: Deno.ResolveDnsOptions) {
  let reason: unknown;
  const ask = (type: "AAAA" | "A") =>
    Deno.resolveDns(name, type, options).catch((error) => {
      reason = error;
      return []; // the other question's answer may be all there is
    });
  const [ipv6, ipv4] = await Promise.all([ask("AAAA"), ask("A")]);
  const found = [...ipv6.entries(), ...ipv4.entries()];
  if (found.length === 0) throw reason;
  const byTurns = found.sort(([a], [b]) => a - b).map(([, address]) => address);
  return [...new Set(byTurns)];
}

/** Asks the first of these addresses that takes a connection; gives a failure. */
async function visit(
  target: WebTarget,
  rows: AddressReport[],
  timeout: number,
  stopwatch: Stopwatch,
): Promise<Failure | undefined> {
  const over = new AbortController();
  using open = new DisposableStack();
  using _deadline = after(timeout, () => {
    const seconds = Number((timeout / 1000).toPrecision(2));
    const silence = `nothing came back within ${seconds}s`;
    over.abort(new Deno.errors.TimedOut(silence));
    open.dispose();
  });
  const connecting = () => connectToFirst(rows, over.signal);
  const tcp = await stopwatch.time(rows[0].step, connecting);
  const row = rows.find(({ outcome }) => outcome === "won");
  if (!tcp || !row) return failureOf(target, rows);
  try {
    let conn: Deno.TcpConn | Deno.TlsConn = open.use(tcp);
    // Certificates and web servers know no zones and no final dot.
    const hostname = target.hostname.replace(/%.*|\.$/, "");
    if (target.tls) {
      conn = await stopwatch.time(row.step = "tls", async () => {
        const secure = open.use(await Deno.startTls(tcp, { hostname }));
        await secure.handshake();
        return secure;
      });
    }
    // The usual port goes without saying.
    const host = formatAddress({ ...target, hostname })
      .replace(target.tls ? /:443$/ : /:80$/, "");
    const request =
      `HEAD ${target.path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    const answer = new Uint8Array(8192);
    const length = await stopwatch.time(row.step = "first byte", async () => {
      await writeAll(conn, new TextEncoder().encode(request));
      return await conn.read(answer);
    });
    row.status = await readStatusLine(conn, answer, length);
  } catch (error) {
    // A read that is ended by closing has no reason of its own.
    fail(row, over.signal.aborted ? over.signal.reason : error);
    return failureOf(target, [row]);
  }
}

/**
 * Connects to the first address that answers (RFC 8305 5): the next one is tried
 * 250 ms after the last, or as soon as that has failed.
 */
async function connectToFirst(rows: AddressReport[], end: AbortSignal) {
  const over = new AbortController();
  const signal = AbortSignal.any([end, over.signal]);
  const attempt = async (row: AddressReport) => {
    row.outcome = "late"; // unless it wins or fails
    const start = performance.now();
    try {
      const { hostname, port } = parseAddress(row.address) as NetAddress;
      const conn = await Deno.connect({ hostname, port, signal });
      if (over.signal.aborted) return conn.close();
      over.abort();
      row.outcome = "won";
      row.address = formatAddress(conn.remoteAddr);
      return conn;
    } catch (error) {
      if (!over.signal.aborted) fail(row, error);
    } finally {
      row.milliseconds = performance.now() - start;
    }
  };
  const attempts = [];
  for (const row of rows) {
    if (over.signal.aborted) break;
    attempts.push(attempt(row));
    await Promise.race([attempts.at(-1), pause(250, signal)]);
  }
  const conns = await Promise.all(attempts);
  over.abort(); // ends the pauses that are left
  return conns.find((conn) => conn !== undefined);
}

/** Reads on to the end of the status line (RFC 9112 4), and no further. */
export async function readStatusLine(
  from: Reader,
  answer: Uint8Array,
  length: number | null,
): Promise<string> {
  for (let end = 0;; length = await from.read(answer.subarray(end))) {
    end += length ?? 0;
    const text = new TextDecoder().decode(answer.subarray(0, end));
    const status = /^HTTP\/\d(\.\d)? [1-5]\d\d( [^\n]*?)?(?=\r?\n)/.exec(text);
    if (status) return safeLine(status[0]);
    const [line, rest] = text.split(/\r?\n/, 2);
    const isHttp = rest === undefined && "HTTP/".startsWith(line.slice(0, 5));
    if (isHttp && length && end < answer.length) continue;
    const when = end ? "in the middle of its first line" : "without a byte";
    // A record of TLS, an alert or a handshake: RFC 8446 5.1.
    const advice = ["\x15\x03", "\x16\x03"].includes(line.slice(0, 2))
      ? "it speaks TLS: add --tls"
      : !isHttp
      ? `it says "${line.slice(0, 40)}"`
      : length
      ? `its first line does not end within ${end} bytes`
      : `it closed the connection ${when}`;
    // Not an Error, in whose words reasonFor() finds a failed lookup.
    throw new SyntaxError(
      `the server does not speak HTTP on this port; ${advice}`,
    );
  }
}

/** What rustls says, where the advice in tcp/errors.ts is for tcp_client. */
const CERTIFICATE_REASONS: [RegExp, string][] = [
  [
    /.*UnknownIssuer.*/,
    "its certificate is self-signed, or signed by an authority that is not trusted here; `deno run --cert FILE` trusts the one in FILE",
  ],
  [/.*valid for \w+\("?([^")]*).*/, "its certificate is for another name: $1"],
  [/.*not valid for .*/, "its certificate is for another name"],
];

/** Notes why an address came no further. */
function fail(row: AddressReport, error: unknown): void {
  const words = String(error);
  const known = CERTIFICATE_REASONS.find(([pattern]) => pattern.test(words));
  const silent = row.byName === DNS_SILENT;
  const timedOut = error instanceof Deno.errors.TimedOut;
  let reason = known ? words.replace(...known) : reasonFor(error);
  if (error instanceof Deno.errors.NotCapable) {
    const permission = permissionFor(parseAddress(row.address));
    reason = `Deno was not allowed to; it needs ${permission}`;
  } else if (
    row.step === "resolve+connect" && (timedOut ? silent : isLookupError(error))
  ) {
    row.step = "resolve";
    // Linux tells "not now" from "no"; elsewhere what DNS said decides.
    reason = silent || /temporary|try again/i.test(words)
      ? "no name server answers, or only with an error (SERVFAIL or REFUSED); is there a network? An address in place of the name needs no DNS"
      : "there is no such name, or it has no address; is it spelled right, and is there a network?";
  } else if (timedOut || row.step === "tls" && !/certificate/.test(words)) {
    reason += `: ${STEPS[row.step][1]}`;
  }
  Object.assign(row, { outcome: "failed", reason: safeLine(reason) });
}

/** Says which step failed, and each reason once, with its addresses. */
function failureOf(target: WebTarget, rows: AddressReport[]): Failure {
  const [{ step }] = rows;
  const host = formatAddress(target);
  const place = step === "resolve" ? target.hostname : host;
  const reasons = [...Map.groupBy(rows, ({ reason }) => reason)]
    .map(([reason, those]) => {
      return `(${those.map(({ address }) => address).join(", ")}): ${reason}`;
    });
  const message = `Cannot ${STEPS[step][0]} ${place} ${reasons.join("; ")}`;
  return { step, message: message.replace(` (${host}): `, ": ") };
}

/** Draws a probe for a person: who won, bars to one scale, the answer. */
export function drawProbe(found: Probe): string {
  const { host, addresses, steps, status = "no answer" } = found;
  const count = addresses.length;
  const [{ byName }] = addresses;
  const headline = byName
    ? `${host} is connected to by name: ${byName}`
    : steps[0]?.name === "resolve"
    ? `${host} has ${count} address${count > 1 ? "es" : ""}:`
    : `${host} is an address, not a name:`;
  const width = Math.max(...addresses.map(({ address }) => address.length));
  const rows = addresses.map((row) =>
    `  ${row.address.padEnd(width)}  ${describeRow(row)}`
  );
  const ways = [{ address: "", steps }, ...addresses]
    .filter(({ steps }) => steps.length > 0);
  // One scale for all, so that they can be compared.
  const scale = Math.max(...ways.map((way) => totalOf(way.steps)));
  const bars = ways.map((way) =>
    [way.address, ...drawSteps(way.steps, scale)].filter((line) => line !== "")
  );
  return [[headline, ...rows], ...bars, [status]]
    .map((lines) => `${lines.join("\n")}\n`).join("\n");
}

function describeRow(row: AddressReport): string {
  const { outcome, milliseconds = 0, reason, steps, status } = row;
  const won = outcome === "won";
  if (outcome === "failed") return `${reason}`;
  if (steps.length > 0) return `${status}${won ? "  (it won)" : ""}`;
  if (outcome === "untried") return "not needed";
  const time = `${milliseconds.toFixed(1)} ms`;
  return won
    ? `connected after ${time}: it won`
    : `not connected after ${time}, when another was`;
}

/** Draws a bar for each step, where it lay and as long as it took; the total. */
export function drawSteps(steps: Step[], scale: number): string[] {
  const most = 40;
  const line = (name: string, bar: string, ms: number) =>
    name.padEnd(17) + bar.padEnd(most) + `${ms.toFixed(1)} ms`.padStart(13);
  const bars = steps.map(({ name, start, milliseconds }) => {
    const length = Math.round(milliseconds / scale * most * 8);
    const eighths = Math.max(1, length); // however short, it was there
    const bar = "█".repeat(eighths >> 3) + " ▏▎▍▌▋▊▉".at(eighths & 7)!.trim();
    const before = Math.round(start / scale * most);
    const indent = Math.min(before, most - bar.length);
    return line(name, " ".repeat(indent) + bar, milliseconds);
  });
  return [...bars, line("total", "", totalOf(steps))];
}
