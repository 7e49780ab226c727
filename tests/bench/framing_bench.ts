/** How fast frames are decoded, whole in a chunk and cut across chunks, and encoded. */
import { decodeFrames, parseFraming } from "../../lib/framing.ts";

const FRAME_LENGTH = 64;
const STREAM_LENGTH = 1_048_576;

for (const name of ["lines", "u32", "varint", "netstring", "fixed:64"]) {
  const framing = parseFraming(name);
  const message = new Uint8Array(FRAME_LENGTH).fill(0x78);
  const frame = framing.encode(message);
  const count = Math.floor(STREAM_LENGTH / frame.length);
  const stream = new Uint8Array(count * frame.length);
  for (let i = 0; i < count; i++) stream.set(frame, i * frame.length);

  for (const chunkLength of [65_536, 1000, 7]) {
    Deno.bench({
      name: `${name}, chunks of ${chunkLength}`,
      group: `a MiB of 64-byte frames, chunks of ${chunkLength}`,
      baseline: name === "lines",
      fn() {
        const decoder = framing.createDecoder();
        let frames = 0;
        for (let start = 0; start < stream.length; start += chunkLength) {
          const chunk = stream.subarray(start, start + chunkLength);
          for (const _frame of decoder.push(chunk)) frames++;
        }
        if (frames !== count) throw new Error(`${frames} of ${count} frames`);
      },
    });
    Deno.bench({
      name: `decodeFrames, ${name}, chunks of ${chunkLength}`,
      group: `a MiB of 64-byte frames, chunks of ${chunkLength}`,
      async fn() {
        const chunks = function* () {
          for (let start = 0; start < stream.length; start += chunkLength) {
            yield stream.subarray(start, start + chunkLength);
          }
        };
        let frames = 0;
        for await (const _frame of decodeFrames(chunks(), framing)) frames++;
        if (frames !== count) throw new Error(`${frames} of ${count} frames`);
      },
    });
  }

  const buffer = new Uint8Array(stream.length);
  Deno.bench({
    name: `encodeInto, ${name}`,
    group: "a MiB of 64-byte frames, encoded",
    baseline: name === "lines",
    fn() {
      let end = 0;
      for (let i = 0; i < count; i++) {
        end = framing.encodeInto(message, buffer, end);
      }
    },
  });
}
