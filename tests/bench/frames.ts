/**
 * Decodes frames of 64 bytes with one of several libraries and prints how many
 * it gave a second. A process of its own for each, so that none is slower
 * because of what another left behind.
 *
 *     deno run --allow-env tests/bench/frames.ts LIBRARY CHUNK-LENGTH
 *
 * @module
 */
import { Readable } from "node:stream";
import { decodeFrames, parseFraming } from "../../lib/framing.ts";

const FRAME_LENGTH = 64;
const STREAM_LENGTH = 16 * 2 ** 20;

type Chunks = Uint8Array<ArrayBuffer>[];

interface Library {
  /** The framing that it decodes. */
  framing: string;
  /** Makes what counts the frames in chunks. */
  load(): Promise<(chunks: Chunks) => Promise<number>>;
}

async function count(frames: AsyncIterable<unknown>): Promise<number> {
  let sum = 0;
  for await (const _ of frames) sum++;
  return sum;
}

function ours(framing: string): Library {
  return {
    framing,
    load: () =>
      Promise.resolve((chunks) =>
        count(decodeFrames(chunks, parseFraming(framing)))
      ),
  };
}

// Names that are not literals, so that nothing is fetched that is not measured.
const NAMES = {
  textLineStream: "jsr:@std/streams@^1.0.10/text-line-stream",
  split2: "npm:split2@^4.2.0",
  itLengthPrefixed: "npm:it-length-prefixed@^10.0.1",
  lengthPrefixedStream: "npm:length-prefixed-stream@^2.0.0",
};

const LIBRARIES: Record<string, Library> = {
  "lines": ours("lines"),
  "u32": ours("u32"),
  "varint": ours("varint"),
  "lines, as text": {
    framing: "lines",
    load: () =>
      Promise.resolve(async (chunks) => {
        const decoder = new TextDecoder();
        let sum = 0;
        for await (const line of decodeFrames(chunks, parseFraming("lines"))) {
          if (decoder.decode(line).length > 0) sum++;
        }
        return sum;
      }),
  },
  "@std TextLineStream": {
    framing: "lines",
    async load() {
      const { TextLineStream } = await import(NAMES.textLineStream);
      return (chunks) =>
        count(
          ReadableStream.from(chunks).pipeThrough(new TextDecoderStream())
            .pipeThrough(new TextLineStream()),
        );
    },
  },
  "split2": {
    framing: "lines",
    async load() {
      const { default: split } = await import(NAMES.split2);
      return (chunks) => count(Readable.from(chunks).pipe(split()));
    },
  },
  "node:readline": {
    framing: "lines",
    async load() {
      const { createInterface } = await import("node:readline");
      return (chunks) =>
        count(createInterface({ input: Readable.from(chunks) }));
    },
  },
  "it-length-prefixed": {
    framing: "u32",
    async load() {
      const { decode } = await import(NAMES.itLengthPrefixed);
      const lengthDecoder = Object.assign(
        (data: { getUint32(at: number): number }) => data.getUint32(0),
        { bytes: 4 },
      );
      return async (chunks) => {
        let sum = 0;
        for await (const _ of decode(chunks, { lengthDecoder })) sum++;
        return sum;
      };
    },
  },
  "length-prefixed-stream": {
    framing: "varint",
    async load() {
      const { default: lengthPrefixed } = await import(
        NAMES.lengthPrefixedStream
      );
      return (chunks) =>
        count(Readable.from(chunks).pipe(lengthPrefixed.decode()));
    },
  },
};

function cut(framing: string, chunkLength: number): Chunks {
  const payload = new Uint8Array(FRAME_LENGTH).fill(0x78);
  const frame = parseFraming(framing).encode(payload);
  const stream = new Uint8Array(
    Math.floor(STREAM_LENGTH / frame.length) * frame.length,
  );
  for (let i = 0; i < stream.length; i += frame.length) stream.set(frame, i);
  const chunks: Chunks = [];
  for (let start = 0; start < stream.length; start += chunkLength) {
    chunks.push(stream.slice(start, start + chunkLength));
  }
  return chunks;
}

const [name, chunkLength = "65536"] = Deno.args;
const library = LIBRARIES[name];
const decode = await library.load();
const chunks = cut(library.framing, Number(chunkLength));
await decode(chunks);
const start = performance.now();
const frames = await decode(chunks);
console.log((frames / (performance.now() - start) * 1000).toFixed(0));
Deno.exit();
