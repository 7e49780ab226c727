import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { WriteQueue } from "../../lib/write_queue.ts";
import { bytes } from "../support/helpers.ts";

/** A writer that takes what it is given when it is told to. */
class SlowWriter {
  written: string[] = [];
  #next = Promise.withResolvers<void>();

  /** Lets the write that is under way, or comes next, succeed or fail. */
  finish(error?: unknown): void {
    const { resolve, reject } = this.#next;
    if (error === undefined) resolve();
    else reject(error);
  }

  /** Lets the first write succeed, and waits until it has. */
  async finished(): Promise<void> {
    this.finish();
    while (this.written.length < 1) await new Promise((r) => setTimeout(r));
  }

  async write(piece: Uint8Array): Promise<number> {
    const text = new TextDecoder().decode(piece);
    try {
      await this.#next.promise;
    } finally {
      this.#next = Promise.withResolvers<void>();
    }
    this.written.push(text);
    return piece.length;
  }
}

Deno.test("WriteQueue.push() does not wait when a write is under way", async () => {
  const writer = new SlowWriter();
  const queue = new WriteQueue(writer);
  const reused = bytes("one");
  queue.push(reused);
  assertEquals(queue.push(bytes("two")), undefined);
  assertEquals(queue.push(bytes("three")), undefined);
  await writer.finished();
  assertEquals(writer.written, ["one"]);
  writer.finish();
  await queue.drained();
  assertEquals(writer.written, ["one", "twothree"]);
});

Deno.test("WriteQueue.push() copies what it is given", async () => {
  const writer = new SlowWriter();
  const queue = new WriteQueue(writer);
  const reused = bytes("one");
  queue.push(reused);
  reused.set(bytes("two"));
  queue.push(reused);
  reused.fill(0);
  await writer.finished();
  writer.finish();
  await queue.drained();
  assertEquals(writer.written, ["one", "two"]);
});

Deno.test("WriteQueue.push() waits when a mebibyte waits", async () => {
  const writer = new SlowWriter();
  const queue = new WriteQueue(writer);
  queue.push(bytes("under way"));
  assertEquals(queue.push(new Uint8Array(1_048_576)), undefined);
  const late = queue.push(bytes("late"));
  let there = false;
  const arrived = Promise.resolve(late).then(() => there = true);
  await writer.finished();
  assertEquals(there, false);
  writer.finish();
  await arrived;
  writer.finish();
  await queue.drained();
  assertEquals(writer.written.map((text) => text.length), [9, 1_048_576, 4]);
});

Deno.test("WriteQueue tells when a write fails, and takes nothing more", async () => {
  const writer = new SlowWriter();
  const queue = new WriteQueue(writer);
  const gone = new Deno.errors.BrokenPipe("gone");
  queue.push(bytes("one"));
  queue.push(bytes("two"));
  writer.finish(gone);
  await assertRejects(() => queue.drained(), Deno.errors.BrokenPipe, "gone");
  assertEquals(queue.failed.reason, gone);
  assertThrows(() => queue.push(bytes("three")), Deno.errors.BrokenPipe);
  assertEquals(writer.written, []);
});

Deno.test("WriteQueue.push() goes on when it was given nothing first", async () => {
  const writer = new SlowWriter();
  const queue = new WriteQueue(writer);
  queue.push(new Uint8Array(0));
  await queue.drained();
  queue.push(bytes("one"));
  writer.finish();
  await queue.drained();
  assertEquals(writer.written, ["one"]);
});
