/**
 * Bytes: put together, compared, and framed by hand. Nothing of the library is
 * in here: the tests of the scripts must not be made of what they test.
 *
 * @module
 */

/** Text as bytes. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Bytes as text. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Puts pieces together. */
export function concatenate(
  pieces: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Asserts that two pieces of data are the same. Megabytes that differ are not
 * printed: `assertEquals` would take gigabytes of memory for that.
 */
export async function assertSameBytes(
  actual: Uint8Array<ArrayBuffer>,
  expected: Uint8Array<ArrayBuffer>,
  note = "",
): Promise<void> {
  const length = Math.min(actual.length, expected.length);
  let at = 0;
  while (at < length && actual[at] === expected[at]) at++;
  if (at === actual.length && at === expected.length) return;
  throw new Error(
    `The bytes differ from offset ${at} on. ${note}
  actual: ${await summary(actual, at)}
expected: ${await summary(expected, at)}`,
  );
}

async function summary(data: Uint8Array<ArrayBuffer>, at: number) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  const next = data.subarray(at, at + 16).toHex();
  return `${data.length} bytes, sha256 ${hash.toHex()}, there ${next}...`;
}

/** Encodes a message, as the framing of that name puts it on the wire. */
export function frame(
  framing: string,
  message: string | Uint8Array,
): Uint8Array<ArrayBuffer> {
  const payload = typeof message === "string" ? bytes(message) : message;
  const after = (head: number[]) =>
    concatenate([new Uint8Array(head), payload]);
  const { length } = payload;
  const [, block] = /^fixed:(\d+)$/.exec(framing) ?? [];
  if (block !== undefined) {
    return concatenate([payload, new Uint8Array(Number(block) - length)]);
  }
  switch (framing) {
    case "lines":
      return concatenate([payload, bytes("\n")]);
    case "u8":
      return after([length]);
    case "u16":
      return after(bigEndian(length, 2));
    case "u16le":
      return after(bigEndian(length, 2).reverse());
    case "u32":
      return after(bigEndian(length, 4));
    case "u32le":
      return after(bigEndian(length, 4).reverse());
    case "varint":
      return after(varint(length));
    case "netstring":
      return concatenate([bytes(`${length}:`), payload, bytes(",")]);
  }
  throw new Error(`No test knows the framing ${framing}`);
}

function bigEndian(number: number, size: number): number[] {
  return Array.from(
    { length: size },
    (_, i) => Math.floor(number / 256 ** (size - 1 - i)) % 256,
  );
}

/** Seven bits a byte, the least first; all bytes but the last have a 1 on top. */
function varint(number: number): number[] {
  return number < 128
    ? [number]
    : [128 + number % 128, ...varint(Math.floor(number / 128))];
}

/** What the first 20 bytes of a datagram say that is sent with `--number`. */
export interface Numbers {
  /** The same in all datagrams of a run. */
  run?: number;
  sequence: number;
  total: number;
  /** In microseconds modulo 2^32. */
  time: number;
}

export const NUMBERS_LENGTH = 20;

/** Reads the numbers after the mark. */
export function readNumbers(datagram: Uint8Array): Numbers {
  const view = new DataView(datagram.buffer, datagram.byteOffset);
  const [run, sequence, total, time] = [4, 8, 12, 16]
    .map((at) => view.getUint32(at));
  return { run, sequence, total, time };
}

/** Writes them, and a payload after them. */
export function numbered(
  { run = 1, sequence, total, time }: Numbers,
  payload: string,
): Uint8Array<ArrayBuffer> {
  const mark = 0x4e554d31; // NUM1
  const head = [mark, run, sequence, total, time]
    .flatMap((it) => bigEndian(it, 4));
  return concatenate([new Uint8Array(head), bytes(payload)]);
}
