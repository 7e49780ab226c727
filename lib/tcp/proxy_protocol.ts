// HAProxy's PROXY protocol: what a load balancer sends before anything else, to
// say whose connection it passes on. Version 1 is a line, version 2 is binary:
//
//     PROXY TCP4 192.0.2.1 192.0.2.9 56324 1234\r\n
//     SIGNATURE 21    version 2; LOCAL (0) or PROXY (1)
//     11              IPv4 (1), IPv6 (2), unix (3); stream (1), datagram (2)
//     00 0c           length of what follows: hosts, ports, then vectors
//                     (a type, a length in two bytes, so many bytes)
//
// https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt
import { parseAddress } from "../address.ts";
import { safeLine } from "../text.ts";
import { after, concatenate } from "./stream.ts";

/** What came is not a PROXY header, or not all of one; the message says why. */
export class ProxyError extends Error {}

/** The client's address, if it is told; `null`: the proxy has no client. */
type ProxySource = Deno.NetAddr | Deno.UnixAddr | undefined | null;

const LONGEST_LINE = 107;
const LINE_REGEXP =
  /^PROXY TCP(?:4(?=[\d. ]+\r)|(6)) ([\da-fA-F.:]+) ([\da-fA-F.:]+) (0|[1-9]\d*) (0|[1-9]\d*)\r\n$/;
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

/** A table for CRC32C: bit by bit, a long header would take 1 ms. */
const CRC32C = Int32Array.from({ length: 256 }, (_, sum) => {
  for (let i = 0; i < 8; i++) sum = sum >>> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
  return sum;
});

// Reads a header and not a byte more; `remoteAddr` becomes the client's. Tells
// whether there is a client: a proxy also connects for health checks.
export async function readProxyHeader(conn: Deno.Conn, timeout = 3000) {
  let bytes = new Uint8Array(0);
  let found: ProxySource | number = "PROXY UNKNOWN\r\n".length;
  let why = "it ended before its PROXY header did";
  // In 3 s TCP can send a lost segment again.
  using _timer = after(timeout, () => {
    why = `no PROXY header came in ${timeout / 1000}s`;
    conn[Symbol.dispose]();
  });
  while (typeof found === "number") {
    // A header's claimed length is allocated only as it comes.
    const piece = new Uint8Array(Math.min(found, 1024));
    const read = await conn.read(piece).catch(() => null);
    if (read === null) throw new ProxyError(why);
    bytes = concatenate([bytes, piece.subarray(0, read)]);
    found = parseProxyHeader(bytes);
  }
  if (found) Object.defineProperty(conn, "remoteAddr", { value: found });
  return found !== null;
}

/** Gives the client's address, or how many bytes are missing at least. */
export function parseProxyHeader(bytes: Uint8Array): ProxySource | number {
  const start = String.fromCharCode(...bytes.subarray(0, SIGNATURE.length));
  const mayBe = (word: string) => word.startsWith(start.slice(0, word.length));
  if (mayBe("PROXY ")) return parseVersion1(bytes);
  if (mayBe(SIGNATURE)) return parseVersion2(bytes);
  const said = safeLine(start);
  throw new ProxyError(`it began with "${said}", not with a PROXY header`);
}

function parseVersion1(bytes: Uint8Array): ProxySource | number {
  const text = String.fromCharCode(...bytes.subarray(0, LONGEST_LINE));
  const end = text.indexOf("\r\n") + 2;
  if (end < 2 && text.length < LONGEST_LINE) return 1;
  const line = text.slice(0, end);
  if (/^PROXY UNKNOWN(?: .*)?\r\n$/s.test(line)) return undefined;
  const [, ipv6, from, to, ...ports] = LINE_REGEXP.exec(line) ?? [];
  try {
    const [source] = [from, to].map((host, i) =>
      parseAddress(`${ipv6 ? `[${host}]` : host}:${ports[i]}`)
    );
    return source as Deno.NetAddr;
  } catch {
    throw new ProxyError(`it sent no PROXY line but ${safeLine(text)}`);
  }
}

function parseVersion2(bytes: Uint8Array): ProxySource | number {
  if (bytes.length < 16) return 16 - bytes.length;
  // Version, command, family, transport: a digit each.
  const kind = bytes.subarray(12, 14).toHex();
  if (!/^2(0|1[0-3][0-2]$)/.test(kind)) {
    throw new ProxyError(`its PROXY header is of no known kind: 0x${kind}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = 16 + view.getUint16(14);
  if (bytes.length < length) return length - bytes.length;
  // The rest is skipped if it is the proxy's own, or of an unknown client.
  if (kind[1] === "0") return null;
  if (!/[^0]1$/.test(kind)) return undefined; // a datagram came another way
  const family = Number(kind[2]);
  const size = [0, 4, 16, 108][family];
  const ports = 16 + 2 * size;
  checkVectors(bytes.slice(0, length), family === 3 ? ports : ports + 4);
  const host = bytes.subarray(16, 16 + size);
  const path = new TextDecoder().decode(host).replace(/\0.*/s, "");
  if (family === 3) return { transport: "unix", path };
  const hostname = family === 1
    ? host.join(".")
    : `[${host.toHex().replace(/.{4}(?!$)/g, "$&:")}]`;
  return parseAddress(`${hostname}:${view.getUint16(ports)}`) as Deno.NetAddr;
}

/** Checks that vectors fill the rest of a header, and its CRC32C. */
function checkVectors(header: Uint8Array<ArrayBuffer>, start: number): void {
  const view = new DataView(header.buffer);
  let sumAt = 0; // where the first checksum is, if any
  for (; start + 3 <= header.length; start += 3 + view.getUint16(start + 1)) {
    if (header[start] === 3) sumAt ||= start + 3;
  }
  if (start !== header.length) {
    throw new ProxyError("a part of its PROXY header goes beyond its end");
  }
  if (sumAt === 0) return;
  const said = view.getUint16(sumAt - 2) === 4 && view.getUint32(sumAt);
  header.fill(0, sumAt, sumAt + 4); // as it was when the sum was taken
  let sum = ~0;
  for (const byte of header) sum = sum >>> 8 ^ CRC32C[(sum ^ byte) & 255];
  if (said !== ~sum >>> 0) {
    throw new ProxyError("the checksum of its PROXY header is wrong");
  }
}
