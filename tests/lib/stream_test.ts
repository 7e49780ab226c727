/** copy and chunks, over real connections and over broken ones; waits. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { after, chunks, copy, pause, writeAll } from "../../lib/tcp/stream.ts";
import { collecting, pair, reading } from "../support/fakes.ts";
import { bytes, readAll, text } from "../support/helpers.ts";
import { noise } from "../support/peers.ts";

Deno.test("writeAll() writes the rest when a write takes a part", async () => {
  const to = collecting(3);
  await writeAll(to, bytes("hello world"));
  assertEquals(text(to.bytes), "hello world");
});

Deno.test("copy() copies every byte when writes take only a part", async () => {
  const data = noise(300_000);
  const to = collecting(777);
  await copy(reading([data]), to);
  assertEquals(to.bytes, data);
});

Deno.test("copy() grows its buffer when reads fill it and gives it back when they don't", async () => {
  const small = Array.from({ length: 3 }, () => new Uint8Array(10));
  const from = reading([...small, new Uint8Array(1_000_000), ...small]);
  await copy(from, collecting());
  assertEquals(from.sizes[0], 1024);
  assertEquals(Math.max(...from.sizes), 262_144);
  assertEquals(from.sizes.at(-1), 1024);
});

Deno.test("copy() makes no new buffer when every read is small", async () => {
  const buffers = new Set<ArrayBufferLike>();
  let reads = 0;
  const from = {
    read(buffer: Uint8Array): Promise<number | null> {
      buffers.add(buffer.buffer);
      return Promise.resolve(++reads > 10 ? null : 5);
    },
  };
  const to = collecting();
  await copy(from, to);
  assertEquals(to.bytes.length, 50);
  assertEquals(buffers.size, 1);
});

Deno.test("copy() reads no further when the writer is slow", async () => {
  const from = reading([bytes("one"), bytes("two")]);
  const taken = Promise.withResolvers<number>();
  const copying = copy(from, { write: () => taken.promise });
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(from.sizes.length, 1);
  taken.resolve(3);
  await copying;
});

Deno.test("copy() rejects when reading or writing does", async () => {
  const broken = () => Promise.reject(new Deno.errors.BrokenPipe("broken"));
  await assertRejects(
    () => copy({ read: broken }, collecting()),
    Deno.errors.BrokenPipe,
  );
  await assertRejects(
    () => copy(reading([bytes("x")]), { write: broken }),
    Deno.errors.BrokenPipe,
  );
});

Deno.test("chunks() gives chunks that stay as they are when the next comes", async () => {
  const pieces = Array.from({ length: 200 }, (_, i) => bytes(`piece ${i};`));
  const kept = await Array.fromAsync(chunks(reading(pieces)));
  assertEquals(kept.map(text).join(""), pieces.map(text).join(""));
});

for (const reuse of [false, true]) {
  Deno.test(`chunks() reads 64 KiB at most when reads are full, reuse ${reuse}`, async () => {
    const from = reading([noise(1_000_000)]);
    let total = 0;
    for await (const { length } of chunks(from, { reuse })) total += length;
    assertEquals(total, 1_000_000);
    assertEquals(Math.max(...from.sizes), 65_536);
  });
}

Deno.test("chunks() reads as much as it is told when reads are full", async () => {
  const from = reading([noise(1_000_000)]);
  const options = { reuse: true, largest: 262_144 };
  for await (const { length } of chunks(from, options)) assert(length > 0);
  assertEquals(Math.max(...from.sizes), 262_144);
});

Deno.test("chunks() takes few buffers when they may be used again", async () => {
  const seen = new Set<ArrayBufferLike>();
  const from = reading([noise(1_000_000)]);
  for await (const { buffer } of chunks(from, { reuse: true })) {
    seen.add(buffer);
  }
  assert(seen.size < 5);
});

Deno.test("pause() goes on when its signal is aborted, before or meanwhile", async () => {
  await pause(60_000, AbortSignal.abort());
  const stop = new AbortController();
  const paused = pause(60_000, stop.signal);
  stop.abort();
  await paused;
  await pause(1);
});

Deno.test("after() calls back when its time has come, but not when it is disposed", async () => {
  const called = Promise.withResolvers<void>();
  {
    using _timer = after(1, () => called.reject(new Error("disposed")));
  }
  using _timer = after(5, called.resolve);
  await called.promise;
});

Deno.test("chunks() leaves the connection open when it ends", async () => {
  using ends = await pair();
  await writeAll(ends.ours, bytes("question"));
  await ends.ours.closeWrite();
  assertEquals((await Array.fromAsync(chunks(ends.theirs))).map(text), [
    "question",
  ]);
  await writeAll(ends.theirs, bytes("answer"));
  ends.theirs.close();
  assertEquals(text(await readAll(ends.ours)), "answer");
});
