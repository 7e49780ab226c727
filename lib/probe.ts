/**
 * The way to a web server, each step timed: `findHosts` resolves the name,
 * `probe` connects, shakes hands, asks and waits for the first byte, `probeEach`
 * does so with each address, `drawProbe` draws where the time went.
 *
 * @module
 */
import { formatAddress, permissionFor } from "./address.ts";
import { handshake } from "./tcp/connect.ts";
import { isLookupError, reasonFor } from "./tcp/errors.ts";
import { pause, type Reader, writeAll } from "./tcp/stream.ts";
import { safeLine } from "./text.ts";

/** What to ask, and whom. */
export interface WebTarget {
  hostname: string;
  port: number;
  tls: boolean;
  path: string;
}

/** The steps in their order; in `resolve+connect` the system does both. */
export type StepName = keyof typeof STEP_ATTEMPTS;

/** A step that was taken; `start` counts from the beginning of the first. */
export interface TimedStep {
  name: StepName;
  start: number;
  milliseconds: number;
}

/** Times one step after another: each begins where the last one ended. */
export class Stopwatch {
  readonly steps: TimedStep[] = [];
  #begin: number | undefined;
  #onStart: (name: StepName) => void;

  constructor(onStart: (name: StepName) => void = () => {}) {
    this.#onStart = onStart;
  }

  /** Takes a step and its time, also when it fails. */
  async time<Value>(name: StepName, step: () => Promise<Value>) {
    this.#onStart(name);
    const begin = this.#begin ??= performance.now();
    const start = totalOf(this.steps);
    try {
      return await step();
    } finally {
      const milliseconds = performance.now() - begin - start;
      this.steps.push({ name, start, milliseconds });
    }
  }
}

/** How long steps took together, in milliseconds. */
export function totalOf(steps: readonly TimedStep[]): number {
  return steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

/** What to connect to: addresses, or the name where the system resolves it. */
export interface Hosts {
  resolver: "DNS" | "system" | "nobody";
  hostnames: string[];
  /** Why the connection is made by name, if it is. */
  byName?: string;
}

const NO_DNS_REASONS = {
  forbidden: "Deno may not ask the name servers",
  unreachable: "Deno may connect to no address of it",
  unaskable: "Deno asks DNS for no such name",
  empty: "DNS has no address for it",
  silent: "DNS does not answer",
};

/** Resolves a name. It may take half of the time; the system has the rest. */
export async function findHosts(
  { hostname, port }: WebTarget,
  timeout: number,
  stopwatch: Stopwatch,
): Promise<Hosts> {
  const { forbidden, unreachable, unaskable, empty, silent } = NO_DNS_REASONS;
  const byName = (resolver: Hosts["resolver"], reason?: string) => {
    return { resolver, hostnames: [hostname], byName: reason };
  };
  if (/:|^\d+(\.\d+){3}$/.test(hostname)) return byName("nobody");
  const signal = AbortSignal.timeout(timeout / 2);
  // Nobody can be asked at port 0: what answers is the hosts file. A name that
  // is there has no other addresses, whatever DNS knows.
  const hostsFile = { nameServer: { ipAddr: "127.0.0.1", port: 0 }, signal };
  try {
    const hostnames = await stopwatch.time(
      "resolve",
      () =>
        resolveBoth(hostname, hostsFile)
          .catch(() => resolveBoth(hostname, { signal })),
    );
    const allowed = hostnames.some((address) => {
      const host = formatHost(address, port);
      const { state } = Deno.permissions.querySync({ name: "net", host });
      return state === "granted";
    });
    return allowed
      ? { resolver: "DNS", hostnames }
      : byName("DNS", unreachable);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return byName("system", empty);
    if (error instanceof Deno.errors.NotCapable) {
      stopwatch.steps.pop(); // nobody was asked, so it took no time
      return byName("system", forbidden);
    }
    const odd = /\blabel\b/i.test(String(error));
    return byName("system", odd ? unaskable : silent);
  }
}

/** Asks for both families at once; gives IPv6 and IPv4 by turns (RFC 8305 4). */
async function resolveBoth(name: string, options: Deno.ResolveDnsOptions) {
  const answers = await Promise.allSettled([
    Deno.resolveDns(name, "AAAA", options),
    Deno.resolveDns(name, "A", options),
  ]);
  // Where one question is swallowed, the other's answer is all there is.
  const [ipv6, ipv4] = answers.map((answer) =>
    answer.status === "fulfilled" ? answer.value : []
  );
  const most = Math.max(ipv6.length, ipv4.length);
  const turns = Array.from({ length: most }, (_, i) => [ipv6[i], ipv4[i]]);
  const addresses = new Set(turns.flat().filter((one) => one !== undefined));
  if (addresses.size > 0) return [...addresses];
  // Silence says more about the network than an empty answer.
  const errors = answers.map((answer) =>
    answer.status === "rejected" && answer.reason
  );
  throw errors.find((one) => one && !(one instanceof Deno.errors.NotFound)) ||
    new Deno.errors.NotFound("no address");
}

/** How one of the addresses did. */
export interface AddressReport {
  address: string;
  /** `late`: still connecting when another won; `answered`: not the fastest. */
  outcome: "won" | "answered" | "late" | "failed" | "untried";
  milliseconds?: number;
  reason?: string;
  /** The steps, and the answer, of each address that was asked in turn. */
  steps?: TimedStep[];
  status?: string;
}

/** What was asked for, and how far it went: as JSON has it. */
export interface Probe {
  host: string;
  tls: boolean;
  path: string;
  resolver: Hosts["resolver"];
  byName?: string;
  addresses: AddressReport[];
  winner?: string;
  steps: TimedStep[];
  total: number;
  status?: string;
  error?: { step: StepName; message: string };
}

/** Connects to the first address that answers, and asks for a page's head. */
export async function probe(
  target: WebTarget,
  { resolver, hostnames, byName }: Hosts,
  timeout: number,
  stopwatch: Stopwatch = new Stopwatch(),
): Promise<Probe> {
  const { hostname, port, tls, path } = target;
  const host = formatHost(hostname, port);
  const addresses = hostnames.map((hostname): AddressReport => {
    return { address: formatHost(hostname, port), outcome: "untried" };
  });
  const { steps } = stopwatch;
  const asked = { host, tls, path, resolver, byName };
  const found: Probe = { ...asked, addresses, steps, total: 0 };

  let step: StepName = byName ? "resolve+connect" : "connect";
  const signal = AbortSignal.timeout(Math.max(0, timeout));
  let conn: Deno.TcpConn | Deno.TlsConn | undefined;
  const close = () => conn?.[Symbol.dispose]();
  signal.addEventListener("abort", close, { once: true });
  const whyNot = (error: unknown, hostname: string) => {
    const unresolved = byName && whyUnresolved(byName, error, timeout);
    if (unresolved) step = "resolve";
    const needed = permissionFor({ transport: "tcp", hostname, port });
    return unresolved || whyFailed(step, error, timeout, needed);
  };
  try {
    const tcp = await stopwatch.time(
      step,
      () => connectToFirst(hostnames, port, signal, addresses, whyNot),
    );
    conn = tcp;
    found.winner = formatAddress(tcp.remoteAddr);
    signal.throwIfAborted();

    if (tls) {
      step = "tls";
      conn = await stopwatch.time(step, async () => {
        // Certificates know no zones and no final dot.
        const name = withoutZone(hostname).replace(/\.$/, "");
        const secure = await Deno.startTls(tcp, { hostname: name });
        await handshake(secure, signal);
        return secure;
      });
    }

    step = "first byte";
    const answer = new Uint8Array(8192);
    const server = conn;
    const length = await stopwatch.time(step, async () => {
      await writeAll(server, new TextEncoder().encode(headRequest(target)));
      return await server.read(answer);
    });
    found.status = await readStatusLine(server, answer, length);
  } catch (error) {
    // A read that is ended by closing has no reason of its own.
    const cause = signal.aborted ? signal.reason : error;
    const failures = found.winner === undefined
      ? addresses
      : [{ address: found.winner, reason: whyFailed(step, cause, timeout) }];
    found.error = { step, message: failureText(step, target, failures) };
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
  return { ...found, total: totalOf(steps) };
}

/** Probes one address after the other; the fastest wins. */
export async function probeEach(
  target: WebTarget,
  hosts: Hosts,
  timeout: number,
  { steps }: Stopwatch,
): Promise<Probe> {
  const end = performance.now() + timeout;
  const probes: Probe[] = [];
  for (const hostname of hosts.hostnames) {
    // Every address has its share of the time, however long the others take.
    const left = hosts.hostnames.length - probes.length;
    const share = Math.max(0, end - performance.now()) / left;
    probes.push(
      await probe(target, { ...hosts, hostnames: [hostname] }, share),
    );
  }
  const [fastest] = probes.filter(({ error }) => error === undefined)
    .toSorted((a, b) => a.total - b.total);
  const addresses = probes.map((one): AddressReport => ({
    ...one.addresses[0],
    outcome: one.error ? "failed" : one === fastest ? "won" : "answered",
    reason: one.error?.message,
    steps: one.steps,
    status: one.status,
  }));
  const { error, winner } = fastest ?? probes[0];
  const all = { addresses, winner, steps, total: totalOf(steps), error };
  return { ...probes[0], ...all, status: undefined };
}

/**
 * Connects to the first address that answers (RFC 8305 5): the next one is tried
 * 250 ms after the last, or as soon as that has failed.
 */
async function connectToFirst(
  hostnames: string[],
  port: number,
  end: AbortSignal,
  addresses: AddressReport[],
  whyNot: (error: unknown, hostname: string) => string,
): Promise<Deno.TcpConn> {
  const over = new AbortController();
  const signal = AbortSignal.any([end, over.signal]);
  let winner = undefined as Deno.TcpConn | undefined;
  const attempts = [];
  for (const [i, hostname] of hostnames.entries()) {
    if (winner !== undefined) break;
    const report = addresses[i];
    report.outcome = "late"; // unless it wins or fails
    const start = performance.now();
    const attempt = Deno.connect({ hostname, port, signal }).then((conn) => {
      if (winner !== undefined) return conn.close();
      winner = conn;
      report.outcome = "won";
      report.address = formatAddress(conn.remoteAddr);
      over.abort();
    }).catch((error) => {
      if (winner !== undefined) return;
      report.outcome = "failed";
      report.reason = whyNot(error, hostname);
    }).finally(() => report.milliseconds = performance.now() - start);
    attempts.push(attempt);
    await Promise.race([attempt, pause(250, signal)]);
  }
  await Promise.all(attempts);
  over.abort(); // ends the pauses that are left
  return winner ?? Promise.reject(new Error("no address answers"));
}

/** The question, RFC 9112 3. */
function headRequest({ hostname, port, tls, path }: WebTarget): string {
  // The usual port goes without saying.
  const host = formatHost(withoutZone(hostname), port)
    .replace(tls ? /:443$/ : /:80$/, "");
  return `HEAD ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
}

/** What came is not the first line of an HTTP answer. */
class NotHttpError extends Error {}

/** Reads on to the end of the status line (RFC 9112 4), and no further. */
export async function readStatusLine(
  from: Reader,
  answer: Uint8Array,
  length: number | null,
): Promise<string> {
  for (let end = 0;; length = await from.read(answer.subarray(end))) {
    if (length === null) {
      const when = end === 0
        ? "without a byte; does it speak HTTP on this port?"
        : "in the middle of its first line";
      throw new NotHttpError(`the server closed the connection ${when}`);
    }
    end += length;
    const text = new TextDecoder().decode(answer.subarray(0, end));
    const [line, ...more] = text.split(/\r?\n/);
    const whole = more.length > 0;
    if (whole && /^HTTP\/\d(\.\d)? [1-5]\d\d( |$)/.test(line)) {
      return safeLine(line);
    }
    // A record of TLS, an alert or a handshake: RFC 8446 5.1.
    const isTls = (answer[0] === 0x15 || answer[0] === 0x16) && answer[1] === 3;
    const start = line.length > 40 ? `${line.slice(0, 40)}…` : line;
    const problem = isTls
      ? "the server speaks TLS on this port, not plain HTTP; add --tls"
      : whole || !"HTTP/".startsWith(line.slice(0, 5))
      ? `the server does not speak HTTP on this port; it says "${start}"`
      : end === answer.length
      ? `the first line of the answer does not end within ${end} bytes; no web server's is so long`
      : undefined;
    if (problem !== undefined) throw new NotHttpError(problem);
  }
}

function formatHost(hostname: string, port: number): string {
  return formatAddress({ transport: "tcp", hostname, port });
}

function withoutZone(hostname: string): string {
  return hostname.split("%")[0];
}

const STEP_ATTEMPTS = {
  "resolve": "resolve",
  "connect": "connect to",
  "resolve+connect": "resolve and connect to",
  "tls": "shake hands over TLS with",
  "first byte": "get a first byte of HTTP from",
};

/** What silence in a step means. */
const STEP_SILENCES: Record<StepName, string> = {
  "resolve":
    "no name server answers (no DNS); an address in place of the name needs none",
  "connect":
    "a black hole: a firewall drops the packets, or no machine has that address",
  "resolve+connect":
    "no name server answers, or a firewall drops the packets to the server",
  "tls":
    "the server takes the connection, but does not shake hands; does it speak TLS on this port?",
  "first byte":
    "the server takes the connection and stays silent; does it wait for TLS (--tls), or is it stuck?",
};

/** What rustls says, where the advice is another one than in tcp/errors.ts. */
const HANDSHAKE_REASONS: [RegExp, string][] = [
  [
    /UnknownIssuer/,
    "its certificate is self-signed, or signed by an authority that is not trusted here (something in between may have put it there); `deno run --cert FILE` trusts the one in FILE",
  ],
  [
    /CaUsedAsEndEntity/,
    "its certificate is an authority's own, as self-signed ones often are; a server needs one with basicConstraints=CA:FALSE",
  ],
  [
    /InvalidContentType|InvalidMessage/,
    "the server does not speak TLS on this port; leave --tls out, or try port 443",
  ],
  [
    /^UnexpectedEof|^ConnectionReset/,
    "the server closed the connection in the handshake; does it speak TLS on this port?",
  ],
];

/** Says why a step failed, and what that means for it. */
export function whyFailed(
  step: StepName,
  error: unknown,
  timeout: number,
  permission = "--allow-net",
): string {
  if (isTimeout(error)) {
    const seconds = Number((timeout / 1000).toPrecision(2));
    return `nothing came back within ${seconds}s: ${STEP_SILENCES[step]}`;
  }
  if (error instanceof NotHttpError) return error.message;
  if (error instanceof Deno.errors.NotCapable) {
    return `Deno was not allowed to; it needs ${permission}`;
  }
  const words = String(error);
  if (step === "tls" && /not valid for name/.test(words)) {
    const names = words.split("only valid for")[1]?.match(/[^"()]+(?="?\))/g);
    const more = names && names.length > 3
      ? `, and ${names.length - 3} more`
      : "";
    const list = names ? `: ${names.slice(0, 3).join(", ")}${more}` : "";
    return `its certificate is for another name${list}`;
  }
  const known = HANDSHAKE_REASONS.find(([known]) => known.test(words));
  return step === "tls" && known ? known[1] : reasonFor(error);
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

/** Says why a name has no address; nothing if the name is not the reason. */
function whyUnresolved(
  byName: string,
  error: unknown,
  timeout: number,
): string | undefined {
  const { empty, silent } = NO_DNS_REASONS;
  if (byName === silent && isTimeout(error)) {
    return whyFailed("resolve", error, timeout);
  }
  if (!isLookupError(error)) return undefined;
  // Linux tells "not now" from "no"; elsewhere what DNS said decides.
  const temporary = /temporary|try again/i.test(String(error));
  if (temporary && byName === empty) {
    return "the name server answers, but with an error (SERVFAIL or REFUSED); it may have no network itself, or better luck later";
  }
  if (temporary || byName === silent) {
    return "no name server answers (no DNS): is there a network? An address in place of the name needs no DNS";
  }
  return "there is no such name, or it has no address; is it spelled right, and is there a network?";
}

/** Says which step failed, and each reason once, with its addresses. */
function failureText(
  step: StepName,
  { hostname, port }: WebTarget,
  failures: { address: string; reason?: string }[],
): string {
  const host = formatHost(hostname, port);
  const place = step === "resolve" ? hostname : host;
  const lists = [...Map.groupBy(failures, ({ reason }) => reason)]
    .map(([reason, those]) => {
      return { reason, list: those.map(({ address }) => address).join(", ") };
    });
  const [{ reason, list }] = lists;
  const all = lists.length > 1
    ? `: ${lists.map(({ reason, list }) => `${list}: ${reason}`).join("; ")}`
    : list === host
    ? `: ${reason}`
    : ` (${list}): ${reason}`;
  return safeLine(`Cannot ${STEP_ATTEMPTS[step]} ${place}${all}`);
}

/** Draws a probe for a person: who won, bars to one scale, the answer. */
export function drawProbe(found: Probe): string {
  const { host, resolver, byName, addresses, steps, status = "" } = found;
  const count = addresses.length === 1 ? "address" : "addresses";
  const headline = byName !== undefined
    ? `${host} is connected to by name: ${byName}`
    : resolver === "nobody"
    ? `${host} is an address, not a name:`
    : `${host} has ${addresses.length} ${count}:`;
  const width = Math.max(...addresses.map(({ address }) => address.length));
  const rows = addresses.map((row) =>
    `  ${row.address.padEnd(width)}  ${describeRow(row)}`
  );
  const sections = [[headline, ...rows]];
  // One scale for all, so that they can be compared.
  const inTurn = addresses.flatMap(({ steps }) => steps ? [steps] : []);
  const scale = Math.max(...[steps, ...inTurn].map(totalOf));
  if (inTurn.length === 0) sections.push(drawSteps(steps, scale), [status]);
  else {
    sections.push(drawSteps(steps, scale).slice(0, steps.length));
    for (const { address, steps = [] } of addresses) {
      sections.push([address, ...drawSteps(steps, scale)]);
    }
  }
  return sections.filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join("\n")}\n`).join("\n");
}

function describeRow(row: AddressReport): string {
  const { outcome, milliseconds = 0, reason, steps, status } = row;
  const after = `after ${milliseconds.toFixed(1)} ms`;
  if (outcome === "failed") return `${reason}`;
  if (steps) return outcome === "won" ? `${status}  (it won)` : `${status}`;
  if (outcome === "won") return `connected ${after}: it won`;
  if (outcome === "late") return `not connected ${after}, when another was`;
  return "not needed";
}

const BAR_WIDTH = 40;
/** A bar's last character, by how many eighths of it are filled. */
const BAR_EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Draws a bar for each step, where it lay and as long as it took; the total. */
export function drawSteps(steps: TimedStep[], scale: number): string[] {
  const line = (name: string, bar: string, milliseconds: number) => {
    const time = milliseconds.toFixed(1).padStart(10);
    return `${name.padEnd(17)}${bar.padEnd(BAR_WIDTH)}${time} ms`;
  };
  const bars = steps.map(({ name, start, milliseconds }) => {
    const length = Math.round(milliseconds / scale * BAR_WIDTH * 8);
    const eighths = Math.max(1, length); // however short, it was there
    const bar = "█".repeat(eighths >> 3) + BAR_EIGHTHS[eighths & 7];
    const before = Math.round(start / scale * BAR_WIDTH);
    return line(
      name,
      " ".repeat(Math.min(before, BAR_WIDTH - bar.length)) + bar,
      milliseconds,
    );
  });
  return [...bars, line("total", "", totalOf(steps))];
}
