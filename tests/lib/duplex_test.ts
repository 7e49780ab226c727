/** duplex: both ways at once, half-closes, and ends that fail, over real connections and over broken ones. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import { duplex } from "../../lib/tcp/duplex.ts";
import {
  concatenate,
  copy,
  type Reader,
  writeAll,
  type Writer,
} from "../../lib/tcp/stream.ts";
import { bytes, readAll, text, within } from "../support/helpers.ts";

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

const never = { read: () => new Promise<number | null>(() => {}) };

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const random = new Uint8Array(length);
  for (let start = 0; start < length; start += 65_536) {
    crypto.getRandomValues(random.subarray(start, start + 65_536));
  }
  return random;
}

/** The end of a program: what it says, and where it puts what it hears. */
function end(source: Reader, sink: Writer) {
  return {
    read: (buffer: Uint8Array) => source.read(buffer),
    write: (chunk: Uint8Array) => sink.write(chunk),
    closeWrite: () => Promise.resolve(),
  };
}

Deno.test("duplex() carries every byte both ways when both ends stream", async () => {
  using pair = await connected();
  const echoing = copy(pair.far, pair.far).then(() => pair.far.closeWrite());
  const data = randomBytes(3_000_000);
  const to = collecting();
  const result = await within(duplex(pair.near, end(reading([data]), to)));
  assertEquals(result, {
    sent: data.length,
    received: data.length,
    cut: false,
  });
  assertEquals(to.bytes, data);
  await echoing;
});

Deno.test("duplex() reads the answer to its end when the source has ended", async () => {
  using pair = await connected();
  const to = collecting();
  const talking = duplex(pair.near, end(reading([bytes("question")]), to));
  assertEquals(text(await readAll(pair.far)), "question");
  await writeAll(pair.far, bytes("late "));
  await writeAll(pair.far, bytes("answer"));
  pair.far.close();
  assertEquals((await within(talking)).received, 11);
  assertEquals(text(to.bytes), "late answer");
});

Deno.test("duplex() ends when the peer does and the source is silent", async () => {
  using pair = await connected();
  const to = collecting();
  const talking = duplex(pair.near, end(never, to), { linger: 0 });
  await writeAll(pair.far, bytes("bye"));
  pair.far.close();
  assertEquals(await within(talking), { sent: 0, received: 3, cut: false });
});

Deno.test("duplex() sends the source to its end when the peer has only half-closed", async () => {
  using pair = await connected();
  await pair.far.closeWrite();
  const data = randomBytes(8_000_000);
  const talking = duplex(pair.near, end(reading([data]), collecting()), {
    linger: 0,
  });
  const received = await within(readAll(pair.far));
  assertEquals(received.length, data.length);
  assertEquals((await talking).sent, data.length);
});

Deno.test("duplex() rejects when the peer goes before everything is sent", async () => {
  using pair = await connected();
  const endless = {
    read: (buffer: Uint8Array) => Promise.resolve(buffer.length),
  };
  const talking = duplex(pair.near, end(endless, collecting()));
  await pair.far.read(new Uint8Array(1));
  pair.far.close();
  const error = await assertRejects(() => within(talking));
  assert(
    error instanceof Deno.errors.BrokenPipe ||
      error instanceof Deno.errors.ConnectionReset,
    `${error}`,
  );
});

Deno.test("duplex() still reads what the peer says when it stops reading", async () => {
  const answer = bytes("no more, thank you");
  const parts = [answer, null];
  const failing = {
    read(buffer: Uint8Array) {
      const part = parts.shift() ?? null;
      if (part !== null) buffer.set(part);
      return Promise.resolve(part?.length ?? null);
    },
    write: () => Promise.reject(new Deno.errors.BrokenPipe("broken")),
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  const to = collecting();
  await assertRejects(
    () => duplex(failing, end(reading([bytes("upload")]), to)),
    Deno.errors.BrokenPipe,
  );
  assertEquals(text(to.bytes), "no more, thank you");
});

Deno.test("duplex() rejects with the source's error when the source fails", async () => {
  using pair = await connected();
  const broken = {
    read: () => Promise.reject(new Deno.errors.NotFound("gone")),
  };
  await assertRejects(
    () => within(duplex(pair.near, end(broken, collecting()))),
    Deno.errors.NotFound,
  );
});

Deno.test("duplex() rejects with the sink's error when the sink fails", async () => {
  using pair = await connected();
  const full = {
    write: () => Promise.reject(new Deno.errors.BrokenPipe("full")),
  };
  const talking = duplex(pair.near, end(never, full));
  await writeAll(pair.far, bytes("x"));
  await assertRejects(() => within(talking), Deno.errors.BrokenPipe, "full");
});

Deno.test("duplex() rejects and closes nothing when its signal is aborted", async () => {
  using pair = await connected();
  const abort = new AbortController();
  const talking = duplex(pair.near, end(never, collecting()), {
    signal: abort.signal,
  });
  abort.abort(new Deno.errors.TimedOut("enough"));
  await assertRejects(() => within(talking), Deno.errors.TimedOut, "enough");
  await writeAll(pair.near, bytes("x"));
  assertEquals(await pair.far.read(new Uint8Array(1)), 1);
});

Deno.test("duplex() rejects at once when its signal is aborted already", async () => {
  using pair = await connected();
  const signal = AbortSignal.abort(new Deno.errors.TimedOut("enough"));
  await assertRejects(
    () => duplex(pair.near, end(never, collecting()), { signal }),
    Deno.errors.TimedOut,
  );
});

Deno.test("duplex() half-closes when it is told to stop and the source is silent", async () => {
  using pair = await connected();
  const stop = new AbortController();
  const to = collecting();
  const talking = duplex(pair.near, end(never, to), { stop: stop.signal });
  stop.abort();
  assertEquals(text(await readAll(pair.far)), "");
  await writeAll(pair.far, bytes("last word"));
  pair.far.close();
  assertEquals(await within(talking), { sent: 0, received: 9, cut: false });
});

Deno.test("duplex() says that it was cut when it is told to stop in the middle", async () => {
  using pair = await connected();
  const stop = new AbortController();
  let asked = 0;
  const endless = {
    read(buffer: Uint8Array) {
      if (++asked === 100) stop.abort();
      return Promise.resolve(buffer.length);
    },
  };
  const draining = readAll(pair.far).then((all) => {
    pair.far.close();
    return all.length;
  });
  const talking = duplex(pair.near, end(endless, collecting()), {
    stop: stop.signal,
  });
  const { sent, cut } = await within(talking);
  assertEquals(cut, true);
  assertEquals(await draining, sent);
});

Deno.test("duplex() leaves no error behind when the connection fails at its k-th call", async (t) => {
  for (let k = 1; k <= 12; k++) {
    await t.step(`k = ${k}`, async () => {
      using pair = await connected();
      let calls = 0;
      const fails = <T>(call: () => Promise<T>) =>
        ++calls === k
          ? Promise.reject(new Deno.errors.ConnectionReset("k"))
          : call();
      const wrapped = {
        read: (buffer: Uint8Array) => fails(() => pair.near.read(buffer)),
        write: (chunk: Uint8Array) => fails(() => pair.near.write(chunk)),
        closeWrite: () => fails(() => pair.near.closeWrite()),
        close: () => pair.near.close(),
      };
      const echoing = copy(pair.far, pair.far).then(
        () => pair.far.closeWrite(),
        () => {},
      );
      const source = reading(["a", "b", "c"].map(bytes));
      const talking = duplex(wrapped, end(source, collecting()));
      const outcome = await within(
        talking.then(() => "done", (error) => error),
      );
      if (outcome === "done") assert(calls < k, `${calls} calls`);
      else assertInstanceOf(outcome, Deno.errors.ConnectionReset);
      pair.near[Symbol.dispose]();
      await within(echoing);
    });
  }
});

Deno.test("duplex() passes a half-close on both ways when it joins two connections", async () => {
  using left = await connected();
  using right = await connected();
  const joined = duplex(left.far, right.near);
  await writeAll(left.near, bytes("question"));
  await left.near.closeWrite();
  assertEquals(text(await within(readAll(right.far))), "question");
  await writeAll(right.far, bytes("answer"));
  await right.far.closeWrite();
  assertEquals(text(await within(readAll(left.near))), "answer");
  const result = await within(joined);
  assertEquals(result, { sent: 6, received: 8, cut: false });
});

Deno.test("duplex() waits for the second end when nothing limits its silence", async () => {
  using left = await connected();
  using right = await connected();
  const joined = duplex(left.far, right.near);
  await left.near.closeWrite();
  await within(readAll(right.far));
  await new Promise((resolve) => setTimeout(resolve, 400));
  await writeAll(right.far, bytes("late"));
  right.far.close();
  assertEquals(text(await within(readAll(left.near))), "late");
  await within(joined);
});

Deno.test("duplex() takes an iterable for what an end says", async () => {
  using pair = await connected();
  const source = ReadableStream.from(["one", "two"].map(bytes));
  const to = collecting();
  const program = {
    [Symbol.asyncIterator]: () => source[Symbol.asyncIterator](),
    write: to.write,
    closeWrite: () => Promise.resolve(),
  };
  const talking = duplex(pair.near, program);
  assertEquals(text(await within(readAll(pair.far))), "onetwo");
  pair.far.close();
  assertEquals((await within(talking)).sent, 6);
});
