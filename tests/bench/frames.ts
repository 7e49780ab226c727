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
  load(): Promise<(chunks: Chunks) => number | Promise<number>>;
}

/** Our decoder, pushed to. */
function decoder(framing: string, use: (frame: Uint8Array) => void): Library {
  return {
    framing,
    load: () =>
      Promise.resolve((chunks) => {
        const decoder = parseFraming(framing).createDecoder();
        let count = 0;
        for (const chunk of chunks) {
          for (const frame of decoder.push(chunk)) {
            use(frame);
            count++;
          }
        }
        return count;
      }),
  };
}

/** What counts by iterating. */
async function iterated(frames: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of frames) count++;
  return count;
}

/** What counts by events, which is the fastest that Node's streams have. */
function heard(source: NodeJS.EventEmitter, event: string): Promise<number> {
  let count = 0;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  source.on(event, () => count++);
  source.on("error", reject);
  source.on(event === "line" ? "close" : "end", () => resolve(count));
  return promise;
}

// Names that are not literals, so that nothing is fetched that is not measured.
const NAMES = {
  textLineStream: "jsr:@std/streams@^1.0.10/text-line-stream",
  split2: "npm:split2@^4.2.0",
  itLengthPrefixed: "npm:it-length-prefixed@^10.0.1",
  lengthPrefixedStream: "npm:length-prefixed-stream@^2.0.0",
};

const utf8 = new TextDecoder();

const LIBRARIES: Record<string, Library> = {
  "lines": decoder("lines", () => {}),
  "lines as text": decoder("lines", (line) => utf8.decode(line)),
  "u32": decoder("u32", () => {}),
  "varint": decoder("varint", () => {}),
  "decodeFrames": {
    framing: "lines",
    load: () =>
      Promise.resolve((chunks) =>
        iterated(decodeFrames(chunks, parseFraming("lines")))
      ),
  },
  "@std TextLineStream": {
    framing: "lines",
    async load() {
      const { TextLineStream } = await import(NAMES.textLineStream);
      return (chunks) =>
        iterated(
          ReadableStream.from(chunks).pipeThrough(new TextDecoderStream())
            .pipeThrough(new TextLineStream()),
        );
    },
  },
  "split2": {
    framing: "lines",
    async load() {
      const { default: split } = await import(NAMES.split2);
      return (chunks) => heard(Readable.from(chunks).pipe(split()), "data");
    },
  },
  "node:readline": {
    framing: "lines",
    async load() {
      const { createInterface } = await import("node:readline");
      return (chunks) =>
        heard(createInterface({ input: Readable.from(chunks) }), "line");
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
      return (chunks) => iterated(decode(chunks, { lengthDecoder }));
    },
  },
  "length-prefixed-stream": {
    framing: "varint",
    async load() {
      const { default: lengthPrefixed } = await import(
        NAMES.lengthPrefixedStream
      );
      return (chunks) =>
        heard(Readable.from(chunks).pipe(lengthPrefixed.decode()), "data");
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
