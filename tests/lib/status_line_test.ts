import { assertEquals, assertRejects } from "@std/assert";
import { StatusLineError, StatusLineReader } from "../../lib/status_line.ts";
import { bytes } from "../support/helpers.ts";

/** Reads what comes in pieces of some size; counts what was asked for. */
async function readLine(answer: string, size = Infinity) {
  let rest = bytes(answer);
  const source = {
    read(buffer: Uint8Array) {
      const piece = rest.subarray(0, Math.min(size, buffer.length));
      buffer.set(piece);
      rest = rest.subarray(piece.length);
      return Promise.resolve(piece.length === 0 ? null : piece.length);
    },
  };
  const reader = new StatusLineReader(source);
  await reader.start();
  return await reader.finish();
}

for (const size of [1, 2, 3, 5, 7, 100]) {
  Deno.test(`finish() gives the line when it comes in pieces of ${size}`, async () => {
    const answer = "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n";
    assertEquals(await readLine(answer, size), "HTTP/1.1 301 Moved");
  });
}

for (const line of ["HTTP/1.0 200", "HTTP/1.1 200 ", "HTTP/2 503 x y"]) {
  Deno.test(`finish() takes the line when it is ${JSON.stringify(line)}`, async () => {
    assertEquals(await readLine(`${line}\n`), line);
  });
}

const start = "HTTP/1.1 200 ";

Deno.test("finish() takes the line when it is 8192 bytes with its end", async () => {
  const line = start + "A".repeat(8191 - start.length);
  assertEquals(await readLine(`${line}\n`, 1000), line);
  await assertRejects(
    () => readLine(`${line}A\n`, 1000),
    StatusLineError,
    "does not end within 8192 bytes",
  );
});

for (
  const [answer, message] of [
    ["", "closed the connection without a byte"],
    ["HTTP/1.1 2", "in the middle of its first line"],
    ["H\n", 'it says "H"'],
    ["\n", 'it says ""'],
    ["HTTP/1.1 999 x\n", "does not speak HTTP"],
    ["HTTP/1.1 2000\n", "does not speak HTTP"],
    ["HTML", 'it says "HTML"'],
    [`SSH-2.0-${"x".repeat(100)}\n`, `it says "SSH-2.0-${"x".repeat(32)}…"`],
    ["\x15\x03\x03\x00\x02", "add --tls"],
    ["\x16\x03\x01", "add --tls"],
    ["\x15\x04", "does not speak HTTP"],
  ]
) {
  Deno.test(`finish() rejects when the answer is ${JSON.stringify(answer)}`, async () => {
    for (const size of [1, Infinity]) {
      await assertRejects(
        () => readLine(answer, size),
        StatusLineError,
        size === 1 && message.startsWith("it says") ? "it says" : undefined,
      );
    }
    await assertRejects(() => readLine(answer), StatusLineError, message);
  });
}
