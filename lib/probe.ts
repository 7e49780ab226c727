// The way to a web server, each step timed: `probe` resolves the name, connects,
// shakes hands, asks for a page's head and waits for the first byte; `drawProbe`
// draws where the time went.
import { formatAddress, type NetAddress, parseAddress } from "./address.ts";
import { permissionFor } from "./address.ts";
import { dial } from "./tcp/connect.ts";
import { reasonFor } from "./tcp/errors.ts";
import { after, pause, type Reader, writeAll } from "./tcp/stream.ts";
import { safeLine } from "./text.ts";

/** The server to ask, and for which page. */
export type WebTarget = NetAddress & { tls: boolean; path: string };

/** The steps in order: what each tries, and what it means if nothing comes. */
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
type Step = { name: StepName; start: number; milliseconds: number };

/** An address, or the name for the system to resolve, and how it did. */
class Candidate {
  address: string;
  /** `late`: another one won while this was connecting, or was faster. */
  outcome: "won" | "late" | "failed" | "untried" = "untried";
  about = "not needed"; // the outcome, in words
  step: StepName; // how far it went
  milliseconds?: number; // until it connected or failed
  status?: string;
  steps: Step[] = []; // if `all` are tried

  /** `byName` says why the system has to resolve the name. */
  constructor(target: NetAddress, readonly byName?: string) {
    this.address = formatAddress(target);
    this.step = byName ? "resolve+connect" : "connect";
  }
}

/** Asks the first address that answers, with `all` each in turn. */
export async function probe(
  target: WebTarget,
  { timeout, all = false }: { timeout: number; all?: boolean },
  tell: (what: string) => void = () => {},
) {
  const { tls, path } = target;
  const host = formatAddress(target);
  // What certificates and web servers know it by: no zone, no final dot, and not
  // the usual port.
  const hostname = target.hostname.replace(/%.*|\.$/, "");
  const server = formatAddress({ ...target, hostname })
    .replace(tls ? /:443$/ : /:80$/, "");
  const request =
    `HEAD ${path} HTTP/1.1\r\nHost: ${server}\r\nConnection: close\r\n\r\n`;

  /** Times a step and adds it to a way, even if it fails. */
  function time<T>(way: Step[], name: StepName, take: () => Promise<T>) {
    tell(`${name} ...`);
    const begin = performance.now();
    return take().finally(() => {
      const milliseconds = performance.now() - begin;
      way.push({ name, start: totalOf(way), milliseconds });
    });
  }

  /** Asks the first of these addresses that accepts a connection. */
  async function visit(rows: Candidate[], way: Step[], timeout: number) {
    const over = new AbortController();
    const seconds = Number((timeout / 1000).toPrecision(2));
    const silence = `nothing came back within ${seconds}s`;
    const late = new Deno.errors.TimedOut(silence);
    using _deadline = after(timeout, () => over.abort(late));
    const connecting = () => connectToFirst(rows, over.signal);
    const winner = await time(way, rows[0].step, connecting);
    if (!winner) return;
    const { row, tcp } = winner;
    let conn: Deno.Conn = tcp;
    over.signal.addEventListener("abort", () => conn[Symbol.dispose]());
    try {
      if (tls) {
        row.step = "tls";
        const secure = conn = await Deno.startTls(tcp, { hostname });
        await time(way, row.step, () => secure.handshake());
      }
      row.step = "first byte";
      const answer = new Uint8Array(8192);
      const length = await time(way, row.step, async () => {
        await writeAll(conn, new TextEncoder().encode(request));
        return await conn.read(answer);
      });
      row.status = await readStatusLine(conn, answer, length);
      if (all) row.about = row.status;
    } catch (error) {
      // A read that we end by closing does not say why.
      fail(row, over.signal.aborted ? late : error);
    }
    over.abort();
  }

  const steps: Step[] = [];
  const isAddress = /:|^\d+(\.\d+){3}$/.test(target.hostname);
  // If the name servers are silent, half of the time is left for the system.
  const addresses = isAddress
    ? [new Candidate(target)]
    : await time(steps, "resolve", () => resolve(target, timeout / 2));
  if (addresses[0].byName === NOT_ASKED) steps.pop(); // it took no time
  tell(`connecting to ${addresses.map(({ address }) => address).join(", ")}`);
  const left = Math.max(0, timeout - totalOf(steps));
  if (!all) await visit(addresses, steps, left);
  else {
    // Every address gets its share of the time, however long the others take.
    const share = left / addresses.length;
    for (const row of addresses) await visit([row], row.steps, share);
  }
  const [won, ...slower] = addresses.filter(({ outcome }) => outcome === "won")
    .sort((a, b) => totalOf(a.steps) - totalOf(b.steps));
  for (const row of slower) row.outcome = "late";
  const { address: winner, status } = won ?? {};
  const error = won ? undefined : failureOf(target, addresses);
  const total = totalOf(steps);
  return { host, tls, path, addresses, steps, total, winner, status, error };
}

function totalOf(steps: Step[]): number {
  return steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

/** Why the system has to resolve a name. */
const NOT_ASKED = "Deno may not ask the name servers";
const DNS_SILENT = "DNS does not answer";

/** Finds the addresses, or why the system has to. */
async function resolve(target: WebTarget, timeout: number) {
  const signal = AbortSignal.timeout(timeout);
  let byName = "Deno may connect to no address of it";
  // There is no name server at port 0, so only the hosts file can answer. A name
  // in that file has no other addresses, whatever DNS knows.
  const nameServer = { ipAddr: "127.0.0.1", port: 0 };
  const found = await lookUp(target.hostname, { nameServer })
    .catch(() => lookUp(target.hostname, { signal }))
    .catch((error) => {
      byName = signal.aborted ? DNS_SILENT : "DNS has no address for it";
      if (error instanceof Deno.errors.NotCapable) byName = NOT_ASKED;
      return [];
    });
  const rows = found.map((hostname) => new Candidate({ ...target, hostname }));
  const isAllowed = ({ address: host }: Candidate) =>
    Deno.permissions.querySync({ name: "net", host }).state === "granted";
  return rows.some(isAllowed) ? rows : [new Candidate(target, byName)];
}

/** Asks for both families at once; gives IPv6 and IPv4 by turns (RFC 8305 4). */
async function lookUp(name: string, options: Deno.ResolveDnsOptions) {
  const asked = (["AAAA", "A"] as const)
    .map((type) => Deno.resolveDns(name, type, options));
  // Perhaps only one of the two has an answer.
  const answers = await Promise.all(asked.map((one) => one.catch(() => [])));
  const found = answers.flatMap((answer) => [...answer.entries()]);
  if (found.length === 0) return await asked[1]; // which throws
  return found.sort(([a], [b]) => a - b).map(([, address]) => address);
}

// RFC 8305 5: the next address is tried 250 ms after the last, or as soon as
// that has failed. Gives the first one that is connected.
async function connectToFirst(rows: Candidate[], end: AbortSignal) {
  const over = new AbortController();
  const signal = AbortSignal.any([end, over.signal]);
  const attempt = async (row: Candidate) => {
    const { hostname, port } = parseAddress(row.address) as NetAddress;
    const begin = performance.now();
    const tcp = await dial({ hostname, port, signal })
      .catch((error: Error) => error);
    row.milliseconds = performance.now() - begin;
    const time = `after ${row.milliseconds.toFixed(1)} ms`;
    if (over.signal.aborted) {
      if (!(tcp instanceof Error)) tcp.close();
      row.outcome = "late";
      row.about = `not connected ${time}, when another was`;
    } else if (tcp instanceof Error) fail(row, tcp);
    else {
      over.abort();
      row.outcome = "won";
      row.about = `connected ${time}: it won`;
      row.address = formatAddress(tcp.remoteAddr);
      return { row, tcp };
    }
  };
  const attempts = [];
  for (const row of rows) {
    if (over.signal.aborted) break;
    attempts.push(attempt(row));
    await Promise.race([attempts.at(-1), pause(250, signal)]);
  }
  const tried = await Promise.all(attempts);
  over.abort(); // ends the pauses that are left
  return tried.find((winner) => winner !== undefined);
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
    const [line, rest] = text.split(/\r?\n/, 2);
    const isOver = rest !== undefined;
    if (isOver && /^HTTP\/\d(\.\d)? [1-5]\d\d( |$)/.test(line)) {
      return safeLine(line);
    }
    const isHttp = !isOver && "HTTP/".startsWith(line.slice(0, 5));
    if (isHttp && length && end < answer.length) continue;
    let advice = `it says "${line.slice(0, 40)}"`;
    const when = end ? "in the middle of its first line" : "without a byte";
    if (isHttp) advice = `it closed the connection ${when}`;
    if (isHttp && length) {
      advice = `its first line does not end within ${end} bytes`;
    }
    // A record of TLS, an alert or a handshake: RFC 8446 5.1.
    const isTls = ["\x15\x03", "\x16\x03"].includes(line.slice(0, 2));
    if (isTls) advice = "it speaks TLS: add --tls";
    // Not a plain Error: `fail` may take that for a failed lookup.
    const problem = "the server does not speak HTTP on this port";
    throw new SyntaxError(`${problem}; ${advice}`);
  }
}

/** Notes why an address came no further. */
function fail(row: Candidate, error: unknown): void {
  const words = String(error);
  const permission = permissionFor(parseAddress(row.address));
  // The options here are not those of tcp_client.
  const [, name] = /valid for \w+\("?([^")]*)/.exec(words) ?? [];
  let reason = reasonFor(error, `connect to ${row.address}`, permission)
    .replace(/; --server-name.*/, name ? `: ${name}` : "")
    .replace(/signed by nobody.*/, SELF_SIGNED);
  const timedOut = error instanceof Deno.errors.TimedOut;
  const silent = timedOut && row.byName === DNS_SILENT;
  if (silent || /^Error\b/.test(words) && /not resolve/.test(reason)) {
    row.step = "resolve"; // the system came no further
    // Linux and Windows tell "not now" from "no".
    reason = silent || /temporary|os error 1100[23]\b/i.test(words)
      ? "no name server answers, or only with an error (SERVFAIL or REFUSED); is there a network? An address in place of the name needs no DNS"
      : "there is no such name, or it has no address; is it spelled right, and is there a network?";
  } else if (timedOut || row.step === "tls" && !/certificate/.test(reason)) {
    reason += `: ${STEPS[row.step][1]}`;
  }
  Object.assign(row, { outcome: "failed", about: safeLine(reason) });
}

const SELF_SIGNED =
  "self-signed, or signed by an authority that is not trusted here; `deno run --cert FILE` trusts the one in FILE";

/** Says which step failed, and each reason once, with its addresses. */
function failureOf(target: WebTarget, rows: Candidate[]) {
  // An address that connected came further than those that did not.
  const furthest = rows.filter(({ step }) => !step.endsWith("connect"));
  const failed = furthest.length > 0 ? furthest : rows;
  const [{ step }] = failed;
  const host = formatAddress(target);
  const place = step === "resolve" ? target.hostname : host;
  const reasons = [...Map.groupBy(failed, ({ about }) => about)]
    .map(([reason, those]) => {
      return `(${those.map(({ address }) => address).join(", ")}): ${reason}`;
    });
  const message = `Cannot ${STEPS[step][0]} ${place} ${reasons.join("; ")}`;
  return { step, message: message.replace(` (${host}): `, ": ") };
}

/** Draws a probe for a person: who won, bars to one scale, the answer. */
export function drawProbe(found: Awaited<ReturnType<typeof probe>>): string {
  const { host, addresses, steps, status = "no answer" } = found;
  const [count, { byName }] = [addresses.length, addresses[0]];
  let headline = `${host} has ${count} address${count > 1 ? "es" : ""}:`;
  if (byName) headline = `${host} is connected to by name: ${byName}`;
  else if (steps[0]?.name !== "resolve") {
    headline = `${host} is an address, not a name:`;
  }
  const width = Math.max(...addresses.map(({ address }) => address.length));
  const rows = addresses.map(({ address, about, outcome, steps }) => {
    const won = outcome === "won" && steps.length > 0 ? "  (it won)" : "";
    return `  ${address.padEnd(width)}  ${about}${won}`;
  });
  const ways = [{ address: "", steps }, ...addresses]
    .filter(({ steps }) => steps.length > 0);
  // One scale for all, so that they can be compared.
  const scale = Math.max(...ways.map(({ steps }) => totalOf(steps)));
  const bars = ways.map(({ address, steps }) =>
    [address, ...drawSteps(steps, scale)].filter((line) => line !== "")
  );
  return [[headline, ...rows], ...bars, [status]]
    .map((lines) => `${lines.join("\n")}\n`).join("\n");
}

/** Draws each step as a bar, from its start, as long as it took; the total. */
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
