/** A client that reads its echo only when nothing more of it can be sent. */
import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import { bytes, frame } from "../support/bytes.ts";
import { start, within } from "../support/helpers.ts";
import { pieces } from "../support/sockets.ts";
import { pause } from "../support/timing.ts";
import { report } from "./support.ts";

const SIZE = 50_000_000;
const MESSAGE = 50_000;

/** A message that is none of the others. */
function message(i: number): Uint8Array {
  const random = new Uint8Array(MESSAGE / 2);
  crypto.getRandomValues(random);
  // As text, so that it is one line as well.
  return bytes(`${i} ${random.toHex()}`);
}

/** What is sent, in pieces that have nothing to do with what is written. */
function* wire(framing: string): Generator<Uint8Array> {
  for (let i = 0; i < SIZE / MESSAGE; i++) {
    yield framing === "raw" ? message(i) : frame(framing, message(i));
  }
}

for (const framing of ["raw", "lines", "u32", "netstring"]) {
  Deno.test(`tcp_server.ts -f ${framing} loses no byte of 50 MB when its client reads late`, async () => {
    const args = ["127.0.0.1:0", "-f", framing];
    await using server = start("tcp_server.ts", args);
    using conn = await Deno.connect({ port: await server.port() });
    const [sent, heard] = [createHash("sha256"), createHash("sha256")];
    let written = 0;
    const sending = (async () => {
      for (let piece of wire(framing)) {
        sent.update(piece);
        while (piece.length > 0) {
          const length = await conn.write(piece);
          written += length;
          piece = piece.subarray(length);
        }
      }
      await conn.closeWrite();
    })();
    sending.catch(() => {});
    // The way there and the way back are full when it stands still.
    for (let before = -1; before < written;) {
      before = written;
      await pause(300);
    }
    const stuck = written;
    let read = 0;
    const reading = async () => {
      for await (const piece of pieces(conn)) {
        heard.update(piece);
        read += piece.length;
      }
    };
    await within(reading(), () => `${read} of ${written} bytes are back`);
    await within(sending);
    report(
      `${framing}, read late`,
      `stuck after ${(stuck / 1e6).toFixed(1)} MB`,
    );
    assertEquals(read, written);
    assertEquals(heard.digest("hex"), sent.digest("hex"));
    conn.close();
    await server.stderr("closed");
  });
}
