/** copy and chunks, over real connections and over broken ones; waits. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  after,
  chunks,
  concatenate,
  copy,
  pause,
  writeAll,
} from "../../lib/tcp/stream.ts";
import { bytes, readAll, text } from "../support/helpers.ts";

/** Two ends of a connection on loopback, closed when the test ends. */
async function connected(): Promise<
  { near: Deno.Conn; far: Deno.TcpConn } & Disposable
> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connect({ port: listener.addr.port }),
    listener.accept(),
  ]);
  return {
    near,
    far,
    [Symbol.dispose]() {
      near[Symbol.dispose]();
      far[Symbol.dispose]();
    },
  };
}

/** A reader that gives these pieces, then ends. */
function reading(pieces: Uint8Array[]) {
  const left = [...pieces];
  const sizes: number[] = [];
  return {
    sizes,
    read(buffer: Uint8Array): Promise<number | null> {
      sizes.push(buffer.length);
      const piece = left.shift();
      if (piece === undefined) return Promise.resolve(null);
      const length = Math.min(piece.length, buffer.length);
      buffer.set(piece.subarray(0, length));
      if (length < piece.length) left.unshift(piece.subarray(length));
      return Promise.resolve(length);
    },
  };
}

/** A writer that keeps a copy of what it takes, at most so much at a time. */
function collecting(most = Infinity) {
  const pieces: Uint8Array[] = [];
  return {
    get bytes() {
      return concatenate(pieces);
    },
    write(chunk: Uint8Array): Promise<number> {
      const length = Math.min(most, chunk.length);
      pieces.push(chunk.slice(0, length));
      return Promise.resolve(length);
    },
  };
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const random = new Uint8Array(length);
  for (let start = 0; start < length; start += 65_536) {
    crypto.getRandomValues(random.subarray(start, start + 65_536));
  }
  return random;
}

Deno.test("writeAll() writes the rest when a write takes a part", async () => {
  const to = collecting(3);
  await writeAll(to, bytes("hello world"));
  assertEquals(text(to.bytes), "hello world");
});

Deno.test("copy() copies every byte when writes take only a part", async () => {
  const data = randomBytes(300_000);
  const to = collecting(777);
  assertEquals(await copy(reading([data]), to), data.length);
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
  assertEquals(await copy(from, collecting()), 50);
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
  assertEquals(await copying, 6);
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
    const from = reading([randomBytes(1_000_000)]);
    let total = 0;
    for await (const { length } of chunks(from, { reuse })) total += length;
    assertEquals(total, 1_000_000);
    assertEquals(Math.max(...from.sizes), 65_536);
  });
}

Deno.test("chunks() takes few buffers when they may be used again", async () => {
  const seen = new Set<ArrayBufferLike>();
  const from = reading([randomBytes(1_000_000)]);
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
  using pair = await connected();
  await writeAll(pair.near, bytes("question"));
  await pair.near.closeWrite();
  assertEquals((await Array.fromAsync(chunks(pair.far))).map(text), [
    "question",
  ]);
  await writeAll(pair.far, bytes("answer"));
  pair.far.close();
  assertEquals(text(await readAll(pair.near)), "answer");
});
