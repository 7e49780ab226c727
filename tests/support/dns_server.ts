/**
 * A small DNS server for tests: answers what the test tells it to, over UDP.
 *
 * @module
 */

/** What the server answers for a name. */
export interface Answers {
  /** IPv4 addresses. */
  A?: string[];
  /** IPv6 addresses. */
  AAAA?: string[];
  /** Another name to look up; its answers are sent along. */
  CNAME?: string;
  /** Error code in place of an answer, as 2 for SERVFAIL (RFC 1035 4.1.1). */
  errorCode?: number;
  /** Types of question that are never answered. */
  silentFor?: ("A" | "AAAA")[];
}

/** A DNS server that runs until it is disposed. */
export interface DnsServer extends AsyncDisposable {
  /** Where it listens, as `Deno.resolveDns` takes it. */
  nameServer: { ipAddr: string; port: number };
  /** What it was asked, as `A name`, in order. */
  questions: string[];
}

const TYPES: Record<number, "A" | "AAAA"> = { 1: "A", 28: "AAAA" };
const TYPE_CNAME = 5;
const NAME_ERROR = 3;

/**
 * Starts a server on loopback.
 *
 * @param zone What it answers, by name; other names do not exist.
 * @param port Where to listen; 0 for any free port.
 * @returns The server.
 */
export function startDnsServer(
  zone: Record<string, Answers>,
  port = 0,
): DnsServer {
  const hostname = "127.0.0.1";
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port });
  const questions: string[] = [];
  const serving = (async () => {
    for await (const [query, peer] of socket) {
      const answer = answerTo(query, zone, questions);
      if (answer !== undefined) await socket.send(answer, peer);
    }
  })();
  return {
    nameServer: {
      ipAddr: hostname,
      port: (socket.addr as Deno.NetAddr).port,
    },
    questions,
    async [Symbol.asyncDispose]() {
      socket.close();
      await serving;
    },
  };
}

function answerTo(
  query: Uint8Array,
  zone: Record<string, Answers>,
  questions: string[],
): Uint8Array | undefined {
  const { name, type, end } = readQuestion(query);
  const wanted = TYPES[type];
  questions.push(`${wanted ?? type} ${name}`);
  const found = zone[name];
  if (found?.silentFor?.includes(wanted)) return undefined;
  const errorCode = found === undefined ? NAME_ERROR : found.errorCode ?? 0;
  const records = errorCode === 0 ? recordsOf(name, wanted, zone) : [];
  const header = new Uint8Array(12);
  const fields = new DataView(header.buffer);
  header.set(query.subarray(0, 2)); // the number of the query
  fields.setUint16(2, 0x8180 | errorCode); // an answer, recursion available
  fields.setUint16(4, 1); // one question
  fields.setUint16(6, records.length);
  return concat([header, query.subarray(12, end), ...records]);
}

/** The first question, RFC 1035 4.1.2. */
function readQuestion(query: Uint8Array) {
  const labels: string[] = [];
  let end = 12;
  while (query[end] !== 0) {
    const start = end + 1;
    end = start + query[end];
    labels.push(new TextDecoder().decode(query.subarray(start, end)));
  }
  const type = query[end + 1] << 8 | query[end + 2];
  return { name: labels.join(".").toLowerCase(), type, end: end + 5 };
}

function recordsOf(
  name: string,
  type: "A" | "AAAA",
  zone: Record<string, Answers>,
): Uint8Array[] {
  const { CNAME, ...answers } = zone[name] ?? {};
  const addresses = answers[type] ?? [];
  const records = addresses.map((address) =>
    record(name, type === "A" ? 1 : 28, encodeAddress(address))
  );
  if (CNAME === undefined) return records;
  const alias = record(name, TYPE_CNAME, encodeName(CNAME));
  return [alias, ...recordsOf(CNAME, type, zone)];
}

/** A resource record, RFC 1035 4.1.3: class IN, to be kept for no time. */
function record(name: string, type: number, data: Uint8Array): Uint8Array {
  const fixed = new Uint8Array(10);
  const fields = new DataView(fixed.buffer);
  fields.setUint16(0, type);
  fields.setUint16(2, 1);
  fields.setUint16(8, data.length);
  return concat([encodeName(name), fixed, data]);
}

function encodeName(name: string): Uint8Array {
  const labels = name.split(".").map((label) => {
    const bytes = new TextEncoder().encode(label);
    return concat([new Uint8Array([bytes.length]), bytes]);
  });
  return concat([...labels, new Uint8Array(1)]);
}

function encodeAddress(address: string): Uint8Array {
  if (!address.includes(":")) {
    return new Uint8Array(address.split(".").map(Number));
  }
  const [before, after = ""] = address.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":");
  const [left, right] = [groups(before), groups(after)];
  const zeros = Array(8 - left.length - right.length).fill("0");
  const values = [...left, ...zeros, ...right].map((hex) => parseInt(hex, 16));
  return new Uint8Array(values.flatMap((value) => [value >> 8, value & 255]));
}

function concat(parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
