/**
 * HAProxy's PROXY protocol: what a load balancer sends before anything else,
 * to say whose connection it passes on.
 *
 *     PROXY TCP4 192.0.2.1 192.0.2.9 56324 1234\r\n                 version 1
 *
 *     0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a    signature              version 2
 *     21       version 2, and what this is: LOCAL (0) or PROXY (1)
 *     11       IPv4 (1), IPv6 (2) or unix (3), and stream (1) or datagram (2)
 *     00 0c    length of what follows: two hosts, two ports, then vectors
 *              (a type, a length in two bytes, so many bytes)
 *
 * Whoever connects can claim any address with it. So it is read only where it
 * is asked for, and then it has to be there: nothing is guessed.
 *
 * @see {@link https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt}
 *
 * @module
 */
import { PartialFrame } from "./frame.ts";
import type { Handler } from "./serve.ts";
import type { Reader } from "./stream.ts";
import { safeLine } from "./text.ts";

/** What a PROXY header says. */
export interface ProxyHeader {
  /** How long it is, in bytes: what comes after that is the client's. */
  length: number;
  /**
   * The client. Not there where the proxy speaks for itself, as in a health
   * check, or for someone whose address it cannot tell: the connection's own
   * address counts then.
   */
  source?: Deno.NetAddr | Deno.UnixAddr;
}

/** What came is not a PROXY header, or not all of one; the message says why. */
export class ProxyHeaderError extends Error {
  /** As for every error, the name of its class. */
  override name = "ProxyHeaderError";
}

const LINE_START = "PROXY ";
/** `PROXY UNKNOWN` and a line end: no header is shorter. */
const SHORTEST_LINE = 15;
const LONGEST_LINE = 107;
const LINE_REGEXP =
  /^PROXY TCP([46]) ([\da-fA-F.:]+) ([\da-fA-F.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/;
const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";
const PREFIX_LENGTH = 16;
/** Length of one host in bytes: of no family, IPv4, IPv6, unix. */
const HOST_LENGTHS = [0, 4, 16, 108];
const CHECKSUM_TYPE = 3;

/**
 * Reads a PROXY header, version 1 or 2.
 *
 * @param bytes What has come since the connection was accepted.
 * @returns The header; or how many bytes are missing at least, so that whoever
 * reads no more than that never reads beyond it.
 * @throws {ProxyHeaderError} If this is no header, whatever comes next.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const line = "PROXY TCP6 2001:db8::1 ::1 56324 80\r\nGET / HTTP/1.1\r\n";
 * assertEquals(parseProxyHeader(new TextEncoder().encode(line)), {
 *   length: 37,
 *   source: { transport: "tcp", hostname: "2001:db8::1", port: 56324 },
 * });
 * assertEquals(parseProxyHeader(new Uint8Array()), 15);
 * ```
 */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | number {
  const start = String.fromCharCode(...bytes.subarray(0, SIGNATURE.length));
  const mayBe = (word: string) => word.startsWith(start.slice(0, word.length));
  if (mayBe(LINE_START)) return parseLine(bytes);
  if (mayBe(SIGNATURE)) return parseBinary(bytes);
  throw new ProxyHeaderError(
    `it began with "${safeLine(start)}", not with a PROXY header`,
  );
}

/** Version 1. */
function parseLine(bytes: Uint8Array): ProxyHeader | number {
  const text = String.fromCharCode(...bytes.subarray(0, LONGEST_LINE));
  const length = text.indexOf("\r\n") + 2;
  if (length < 2 && text.length < LONGEST_LINE) return missingOf(text);
  const line = text.slice(0, length);
  if (/^PROXY UNKNOWN(?: |\r\n)/.test(line)) return { length };
  const [, family, from, to, ...ports] = LINE_REGEXP.exec(line) ?? [];
  const hostname = parseHost(family, from);
  if (
    hostname === undefined || parseHost(family, to) === undefined ||
    ports.some((port) => Number(port) > 65_535)
  ) {
    throw new ProxyHeaderError(`it sent no PROXY line but ${safeLine(text)}`);
  }
  const port = Number(ports[0]);
  return { length, source: { transport: "tcp", hostname, port } };
}

/** How many bytes a line that has not ended must still have. */
function missingOf(line: string): number {
  if (line.length < SHORTEST_LINE) return SHORTEST_LINE - line.length;
  // Each of the five spaces of a line with addresses has something after it.
  const spaces = line.startsWith("PROXY T") ? line.split(" ").length - 1 : 5;
  return 2 * Math.max(0, 5 - spaces) + (line.endsWith("\r") ? 1 : 2);
}

function parseHost(family = "", host = ""): string | undefined {
  if (family === "6") return shortest(host);
  if (!/^[\d.]+\d$/.test(host)) return undefined;
  // The parser of URLs also takes 127.1 and 0177.0.0.1, and writes them out.
  return URL.parse(`http://${host}`)?.hostname === host ? host : undefined;
}

/** An IPv6 address in its one shortest form, by which it can be compared. */
function shortest(host: string): string | undefined {
  return URL.parse(`http://[${host}]`)?.hostname.slice(1, -1);
}

/** Version 2. */
function parseBinary(bytes: Uint8Array): ProxyHeader | number {
  if (bytes.length < PREFIX_LENGTH) return PREFIX_LENGTH - bytes.length;
  const [version, command] = [bytes[12] >> 4, bytes[12] & 15];
  const [family, transport] = [bytes[13] >> 4, bytes[13] & 15];
  const isLocal = command === 0;
  const isKnown = command === 1 && family < 4 && transport < 3;
  if (version !== 2 || !isLocal && !isKnown) {
    throw new ProxyHeaderError(
      `its PROXY header has version ${version}, command ${command}, address family ${family}, transport ${transport}`,
    );
  }
  const length = PREFIX_LENGTH + uint16(bytes, 14);
  if (bytes.length < length) return length - bytes.length;
  // What a proxy says of itself, or of somebody unknown, is passed over.
  if (isLocal || family === 0 || transport === 0) return { length };
  const header = bytes.subarray(0, length);
  const width = HOST_LENGTHS[family];
  const ports = PREFIX_LENGTH + 2 * width;
  checkVectors(header, family === 3 ? ports : ports + 4);
  // A datagram did not come this way.
  if (transport === 2) return { length };
  const host = header.subarray(PREFIX_LENGTH, PREFIX_LENGTH + width);
  if (family === 3) {
    const path = new TextDecoder().decode(host).replace(/\0.*/s, "");
    return { length, source: { transport: "unix", path } };
  }
  const hostname = family === 1 ? host.join(".") : ipv6Of(host);
  const port = uint16(header, ports);
  return { length, source: { transport: "tcp", hostname, port } };
}

function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1];
}

function ipv6Of(host: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => uint16(host, 2 * i));
  return shortest(groups.map((group) => group.toString(16)).join(":"))!;
}

/** Checks that vectors fill the rest of a header, and its checksum. */
function checkVectors(header: Uint8Array, start: number): void {
  let checksum: number | undefined;
  let isWrong = false;
  while (start < header.length) {
    const value = start + 3;
    const end = value + uint16(header, start + 1);
    if (header[start] === CHECKSUM_TYPE) {
      isWrong ||= checksum !== undefined || end - value !== 4;
      checksum = value;
    }
    start = end;
  }
  if (start > header.length) {
    throw new ProxyHeaderError(
      "a part of its PROXY header goes beyond its end",
    );
  }
  if (isWrong || checksum !== undefined && !isIntact(header, checksum)) {
    throw new ProxyHeaderError("the checksum of its PROXY header is wrong");
  }
}

/** Compares the CRC32C in a header (RFC 4960, appendix B). */
function isIntact(header: Uint8Array, field: number): boolean {
  let sum = ~0;
  header.forEach((byte, index) => {
    // The four bytes of the sum itself were 0 when it was taken.
    sum ^= index >= field && index < field + 4 ? 0 : byte;
    for (let bit = 0; bit < 8; bit++) {
      sum = sum >>> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
    }
  });
  const view = new DataView(header.buffer, header.byteOffset + field, 4);
  return view.getInt32(0) === ~sum;
}

/**
 * Makes a handler for connections that come through a proxy: it reads the
 * header, and from then on `remoteAddr` is the client's address.
 *
 * Not a byte beyond the header is read, so that the connection needs nothing
 * around it and stays as fast as it is.
 *
 * @param handler What to do with the connection then.
 * @param onRefused Told why a connection has no valid header; the handler does
 * not see it.
 * @param timeout How long the whole header may take, in milliseconds. In 3 s
 * TCP can send a lost segment again.
 * @returns The handler, for `serve`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using proxy = await Deno.connect({ port: listener.addr.port });
 * const line = "PROXY TCP4 192.0.2.1 192.0.2.9 56324 80\r\n";
 * await proxy.write(new TextEncoder().encode(line));
 * using conn = await listener.accept();
 * const refuse = (error: Error) => {
 *   throw error;
 * };
 * const handler = behindProxy(({ remoteAddr }) => {
 *   assertEquals((remoteAddr as Deno.NetAddr).hostname, "192.0.2.1");
 * }, refuse);
 * await handler(conn);
 * ```
 */
export function behindProxy(
  handler: Handler,
  onRefused: (error: ProxyHeaderError, conn: Deno.Conn) => void,
  timeout = 3000,
): Handler {
  return async (conn) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      conn[Symbol.dispose]();
    }, timeout);
    try {
      const { source: value } = await readHeader(conn);
      if (value) Object.defineProperty(conn, "remoteAddr", { value });
    } catch (error) {
      const refusal = late
        ? new ProxyHeaderError(`no PROXY header came in ${timeout / 1000}s`)
        : error as ProxyHeaderError;
      return onRefused(refusal, conn);
    } finally {
      clearTimeout(timer);
    }
    await handler(conn);
  };
}

async function readHeader(from: Reader): Promise<ProxyHeader> {
  const header = new PartialFrame();
  const space = new Uint8Array(1024);
  for (;;) {
    const found = parseProxyHeader(header.bytes);
    if (typeof found === "object") return found;
    // Cut by the peer or here, or ended: in any case it did not come.
    const read = await from.read(space.subarray(0, found)).catch(() => null);
    if (read === null) {
      throw new ProxyHeaderError(
        `it ended after ${header.length} bytes, before its PROXY header did`,
      );
    }
    header.append(space.subarray(0, read), header.length + found);
  }
}
