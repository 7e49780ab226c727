/**
 * PROXY headers as a load balancer writes them.
 *
 * @module
 */
import { bytes, concatenate } from "./bytes.ts";

/** What the last four bits of byte 13, and all of byte 14, can be. */
export const LOCAL = 0;
export const PROXY = 1;
export const TCP4 = 0x11;
export const TCP6 = 0x21;
export const UNIX = 0x31;

const SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10];

/** Options for {@linkcode header}. */
export interface HeaderOptions {
  command?: number;
  /** Type and value. */
  vectors?: [number, Uint8Array][];
  /** Whether a vector with a checksum comes last. */
  checksum?: boolean;
}

/** Writes a header of version 2. */
export function header(
  family: number,
  addresses: Uint8Array,
  options: HeaderOptions = {},
): Uint8Array<ArrayBuffer> {
  const { command = PROXY, vectors = [], checksum = false } = options;
  const all = checksum
    ? [...vectors, [3, new Uint8Array(4)] as const]
    : vectors;
  const block = concatenate([
    addresses,
    ...all.flatMap(([type, value]) => [
      new Uint8Array([type, ...uint16(value.length)]),
      value,
    ]),
  ]);
  const start = [...SIGNATURE, 0x20 | command, family, ...uint16(block.length)];
  const whole = concatenate([new Uint8Array(start), block]);
  if (checksum) {
    new DataView(whole.buffer).setUint32(whole.length - 4, crc32c(whole));
  }
  return whole;
}

/** Writes the addresses of version 2 for IPv4. */
export function addresses4(
  from: string,
  to: string,
  fromPort: number,
  toPort: number,
): Uint8Array<ArrayBuffer> {
  const hosts = [from, to].flatMap((host) => host.split(".").map(Number));
  return new Uint8Array([...hosts, ...uint16(fromPort), ...uint16(toPort)]);
}

/** Writes the addresses of version 2 for IPv6, each given as eight groups. */
export function addresses6(
  from: number[],
  to: number[],
  fromPort: number,
  toPort: number,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array([...from, ...to, fromPort, toPort].flatMap(uint16));
}

/** Writes the addresses of version 2 for unix sockets. */
export function addressesUnix(
  from: string,
  to: string,
): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(216);
  block.set(bytes(from));
  block.set(bytes(to), 108);
  return block;
}

function uint16(number: number): number[] {
  return [number >> 8, number & 255];
}

const TABLE = Array.from({ length: 256 }, (_, index) => {
  let entry = index;
  for (let bit = 0; bit < 8; bit++) {
    entry = entry & 1 ? (entry >>> 1) ^ 0x82f63b78 : entry >>> 1;
  }
  return entry;
});

/** CRC32C, as most write it: with a table. */
export function crc32c(data: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of data) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}
