// The way to a web server, each step timed: `probe` resolves the name, connects,
// shakes hands, asks for a page's head and waits for the first byte; `drawProbe`
// draws where the time went.
import { formatAddress, type NetAddress, parseAddress } from "./address.ts";
import { permissionFor } from "./address.ts";
import { certificateName, dial } from "./tcp/connect.ts";
import { reasonFor } from "./tcp/errors.ts";
import { after, pause, writeAll } from "./tcp/stream.ts";
import { safeLine } from "./text.ts";

/** The server to ask, and for which page. */
export type WebTarget = NetAddress & { tls: boolean; path: string };

/** The steps in order: what each tries, and what it means if nothing comes. */
const STEPS = {
  "resolve": ["resolve", ""],
  "resolve+connect": ["resolve and connect to", "no DNS, or a firewall?"],
  "connect": ["connect to", "a black hole: a firewall drops the packets"],
  "tls": ["shake hands over TLS with", "no TLS? Leave --tls out"],
  "first byte": ["get a first byte from", "it stays silent; add --tls?"],
};
type StepName = keyof typeof STEPS;

/** A step that was taken; `start` counts from the beginning of the first. */
type Step = { name: StepName; start: number; milliseconds: number };

/** An address, or a name (`byName` says why) that the system has to resolve. */
class Candidate {
  address: string;
  /** `late`: another one had won before. */
  outcome: "won" | "late" | "failed" | "untried" = "untried";
  about = "not needed"; // the outcome, in words
  step: StepName; // how far it went
  milliseconds?: number; // until it connected or failed
  steps: Step[] = []; // if `all` are tried

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
  const hostname = certificateName(target.hostname);
  const server = formatAddress({ ...target, hostname })
    .replace(tls ? /:443$/ : /:80$/, ""); // not the usual port
  const head = `HEAD ${path} HTTP/1.1\r\nHost: ${server}\r\n`;
  const request = new TextEncoder().encode(`${head}Connection: close\r\n\r\n`);
  const steps: Step[] = [];
  let way = steps;

  /** Adds a step to the way, even if it fails. */
  async function time<T>(name: StepName, take: () => Promise<T>): Promise<T> {
    tell(`${name} ...`);
    const begin = performance.now();
    return await take().finally(() => {
      const milliseconds = performance.now() - begin;
      way.push({ name, start: totalOf(way), milliseconds });
    });
  }

  const isAddress = /:|^\d+(\.\d+){3}$/.test(target.hostname);
  // If the name servers are silent, half of the time is left for the system.
  const addresses = isAddress
    ? [new Candidate(target)]
    : await time("resolve", () => resolve(target, timeout / 2));
  if (addresses[0].byName === NOT_ASKED) steps.pop(); // it took no time
  tell(`connecting to ${addresses.map(({ address }) => address).join(", ")}`);
  // They race, or each has its share of the time for itself.
  const groups = all ? addresses.map((row) => [row]) : [addresses];
  const share = Math.max(0, timeout - totalOf(steps)) / groups.length;
  const seconds = Number((share / 1000).toPrecision(2));
  const late = new Deno.errors.TimedOut(`nothing came back within ${seconds}s`);
  let won: { winner: string; status: string } | undefined;
  for (const rows of groups) {
    if (all) way = rows[0].steps;
    const over = new AbortController();
    using _deadline = after(share, () => over.abort(late));
    const winner = await time(rows[0].step, () => race(rows, over.signal));
    if (!winner) continue;
    const { row, tcp } = winner;
    let conn: Deno.Conn = tcp;
    over.signal.addEventListener("abort", () => conn[Symbol.dispose]());
    try {
      if (tls) {
        const secure = conn = await Deno.startTls(tcp, { hostname });
        await time("tls", () => secure.handshake());
      }
      const status = await time("first byte", () => ask(conn, request));
      if (won) row.outcome = "late";
      if (all) row.about = won ? status : `${status}  (it won)`;
      won ??= { winner: row.address, status };
    } catch (error) {
      row.step = way.at(-1)!.name;
      // A read that we end by closing does not say why.
      fail(row, over.signal.aborted ? late : error as Error);
    }
    over.abort();
  }
  const error = won ? undefined : failureOf(target, addresses);
  const total = totalOf(steps);
  return { host, tls, path, addresses, steps, total, ...won, error };
}

function totalOf(steps: Step[]): number {
  return steps.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
}

/** Why the system has to resolve a name. */
const NOT_ASKED = "Deno may not ask the name servers";
const NO_ANSWER = "DNS gives no address for it";

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
      byName = error instanceof Deno.errors.NotCapable ? NOT_ASKED : NO_ANSWER;
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
async function race(rows: Candidate[], end: AbortSignal) {
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

/** Asks for a page's head, and gives its first line (RFC 9112 4). */
export async function ask(conn: Deno.Conn, request: Uint8Array) {
  await writeAll(conn, request);
  const answer = new Uint8Array(8192);
  let [text, end] = ["", 0];
  // What is no HTTP may have no lines.
  const isOpen = () => !/\n/.test(text) && "HTTP/".startsWith(text.slice(0, 5));
  while (isOpen()) {
    const length = await conn.read(answer.subarray(end));
    if (!length) break; // the end, or no more room
    end += length;
    text = new TextDecoder().decode(answer.subarray(0, end));
  }
  const [line, rest] = text.split(/\r?\n/, 2);
  const isStatus = /^HTTP\/\d(\.\d)? [1-5]\d\d( |$)/.test(line);
  if (isStatus && rest !== undefined) return safeLine(line);
  const when = text ? "in the middle of its first line" : "without a byte";
  let why = `it closed the connection ${when}`;
  if (end === 8192) why = "its first line does not end within 8192 bytes";
  if (!isOpen()) why = `it says "${line.slice(0, 40)}"`;
  // A record of TLS, an alert or a handshake: RFC 8446 5.1.
  const isTls = ["\x15\x03", "\x16\x03"].includes(line.slice(0, 2));
  if (isTls) why = "it speaks TLS: add --tls";
  // Not a plain Error, in which `reasonFor` would look for the system's words.
  throw new SyntaxError(`the server does not speak HTTP on this port; ${why}`);
}

const SELF_SIGNED =
  "self-signed, or signed by an authority that is not trusted here; `deno run --cert FILE` trusts the one in FILE";

/** Notes why an address came no further. */
function fail(row: Candidate, error: Error): void {
  const permission = permissionFor(parseAddress(row.address));
  // The options here are not those of tcp_client.
  const [, name] = /valid for \w+\("?([^")]*)/.exec(error.message) ?? [];
  let reason = reasonFor(error, `connect to ${row.address}`, permission)
    .replace(/; --server-name.*/, name ? `: ${name}` : "")
    .replace(/signed by nobody.*/, SELF_SIGNED);
  const isLate = error instanceof Deno.errors.TimedOut;
  const isUnresolved = isLate && row.byName === NO_ANSWER ||
    /not resolve/.test(reason);
  if (row.step === "resolve+connect" && isUnresolved) {
    row.step = "resolve"; // the system came no further
    // Linux and Windows tell "not now" from "no".
    const isTemporary = /temporary|os error 1100[23]\b/i.test(error.message);
    reason = isLate || isTemporary
      ? "no name server answers, or only with an error (SERVFAIL or REFUSED); is there a network? An address in place of the name needs no DNS"
      : "there is no such name, or it has no address; is it spelled right, and is there a network?";
  } else if (isLate || row.step === "tls" && !/certificate/.test(reason)) {
    reason += `: ${STEPS[row.step][1]}`;
  }
  Object.assign(row, { outcome: "failed", about: safeLine(reason) });
}

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
  let about = `has ${count} address${count > 1 ? "es" : ""}:`;
  if (steps[0]?.name !== "resolve") about = "is an address, not a name:";
  if (byName) about = `is connected to by name: ${byName}`;
  const width = Math.max(...addresses.map(({ address }) => address.length));
  const lines = [`${host} ${about}`];
  for (const { address, about } of addresses) {
    lines.push(`  ${address.padEnd(width)}  ${about}`);
  }
  const ways = [{ address: "", steps }, ...addresses];
  // One scale for all, so that they can be compared.
  const scale = Math.max(...ways.map(({ steps }) => totalOf(steps)));
  for (const { address, steps } of ways) {
    const title = address ? `\n${address}` : "";
    if (steps.length > 0) lines.push(title, ...drawSteps(steps, scale));
  }
  return [...lines, "", status, ""].join("\n");
}

/** Draws each step as a bar, from its start, as long as it took; the total. */
export function drawSteps(steps: Step[], scale: number): string[] {
  const most = 40;
  const line = (name: string, bar: string, ms: number) =>
    name.padEnd(17) + bar.padEnd(most) + `${ms.toFixed(1)} ms`.padStart(13);
  const bars = steps.map(({ name, start, milliseconds }) => {
    // However short, it was there.
    const eighths = Math.max(1, Math.round(milliseconds / scale * most * 8));
    const bar = "█".repeat(eighths >> 3) + " ▏▎▍▌▋▊▉".at(eighths & 7)!.trim();
    const end = Math.round(start / scale * most) + bar.length;
    return line(name, bar.padStart(Math.min(end, most)), milliseconds);
  });
  return [...bars, line("total", "", totalOf(steps))];
}
