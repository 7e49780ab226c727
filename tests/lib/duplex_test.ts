/** duplex: both ways at once, half-closes, and ends that fail, over real connections and over broken ones. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
} from "@std/assert";
import {
  copy,
  duplex,
  type Reader,
  writeAll,
  type Writer,
} from "../../lib/tcp/stream.ts";
import { collecting, pair, reading } from "../support/fakes.ts";
import { bytes, readAll, text, within } from "../support/helpers.ts";
import { noise } from "../support/peers.ts";

/** The end of a program: what it says, and where it puts what it hears. */
function end(source: Reader, sink: Writer) {
  return {
    read: (buffer: Uint8Array) => source.read(buffer),
    write: (chunk: Uint8Array) => sink.write(chunk),
    closeWrite: () => Promise.resolve(),
  };
}

Deno.test("duplex() carries every byte both ways when both ends stream", async () => {
  using ends = await pair();
  const echoing = copy(ends.theirs, ends.theirs).then(() =>
    ends.theirs.closeWrite()
  );
  const data = noise(3_000_000);
  const to = collecting();
  await within(duplex(ends.ours, end(reading([data]), to)));
  assertEquals(to.bytes, data);
  await echoing;
});

Deno.test("duplex() reads the answer to its end when the source has ended", async () => {
  using ends = await pair();
  const to = collecting();
  const talking = duplex(ends.ours, end(reading([bytes("question")]), to));
  assertEquals(text(await readAll(ends.theirs)), "question");
  await writeAll(ends.theirs, bytes("late "));
  await writeAll(ends.theirs, bytes("answer"));
  ends.theirs.close();
  await within(talking);
  assertEquals(text(to.bytes), "late answer");
});

Deno.test("duplex() sends the source to its end when the peer has only half-closed", async () => {
  using ends = await pair();
  await ends.theirs.closeWrite();
  const data = noise(8_000_000);
  const talking = duplex(ends.ours, end(reading([data]), collecting()));
  const received = await within(readAll(ends.theirs));
  assertEquals(received.length, data.length);
  await talking;
});

Deno.test("duplex() rejects when the peer goes before everything is sent", async () => {
  using ends = await pair();
  const endless = {
    read: (buffer: Uint8Array) => Promise.resolve(buffer.length),
  };
  const talking = duplex(ends.ours, end(endless, collecting()));
  await ends.theirs.read(new Uint8Array(1));
  ends.theirs.close();
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
  using ends = await pair();
  const broken = {
    read: () => Promise.reject(new Deno.errors.NotFound("gone")),
  };
  await assertRejects(
    () => within(duplex(ends.ours, end(broken, collecting()))),
    Deno.errors.NotFound,
  );
});

Deno.test("duplex() rejects with the sink's error when the sink fails", async () => {
  using ends = await pair();
  // It says nothing more when it has been told that nothing more comes.
  const told = Promise.withResolvers<null>();
  const full = {
    read: () => told.promise,
    write: () => Promise.reject(new Deno.errors.BrokenPipe("full")),
    closeWrite: () => Promise.resolve(told.resolve(null)),
  };
  const talking = within(duplex(ends.ours, full));
  const failing = assertRejects(() => talking, Deno.errors.BrokenPipe, "full");
  await writeAll(ends.theirs, bytes("x"));
  await failing;
});

Deno.test("duplex() leaves no error behind when the connection fails at its k-th call", async (t) => {
  for (let k = 1; k <= 12; k++) {
    await t.step(`k = ${k}`, async () => {
      using ends = await pair();
      let calls = 0;
      const fails = <T>(call: () => Promise<T>) =>
        ++calls === k
          ? Promise.reject(new Deno.errors.ConnectionReset("k"))
          : call();
      const wrapped = {
        read: (buffer: Uint8Array) => fails(() => ends.ours.read(buffer)),
        write: (chunk: Uint8Array) => fails(() => ends.ours.write(chunk)),
        closeWrite: () => fails(() => ends.ours.closeWrite()),
        close: () => ends.ours.close(),
      };
      const echoing = copy(ends.theirs, ends.theirs).then(
        () => ends.theirs.closeWrite(),
        () => {},
      );
      const source = reading(["a", "b", "c"].map(bytes));
      const talking = duplex(wrapped, end(source, collecting()));
      const outcome = await within(
        talking.then(() => "done", (error) => error),
      );
      if (outcome === "done") assert(calls < k, `${calls} calls`);
      else assertInstanceOf(outcome, Deno.errors.ConnectionReset);
      ends.ours[Symbol.dispose]();
      await within(echoing);
    });
  }
});

Deno.test("duplex() passes a half-close on both ways when it joins two connections", async () => {
  using left = await pair();
  using right = await pair();
  const joined = duplex(left.theirs, right.ours);
  await writeAll(left.ours, bytes("question"));
  await left.ours.closeWrite();
  assertEquals(text(await within(readAll(right.theirs))), "question");
  await writeAll(right.theirs, bytes("answer"));
  await right.theirs.closeWrite();
  assertEquals(text(await within(readAll(left.ours))), "answer");
  await within(joined);
});

Deno.test("duplex() waits for the second end when nothing limits its silence", async () => {
  using left = await pair();
  using right = await pair();
  const joined = duplex(left.theirs, right.ours);
  await left.ours.closeWrite();
  await within(readAll(right.theirs));
  await new Promise((resolve) => setTimeout(resolve, 400));
  await writeAll(right.theirs, bytes("late"));
  right.theirs.close();
  assertEquals(text(await within(readAll(left.ours))), "late");
  await within(joined);
});
