/**
 * A member of a room: a bounded queue of what it is to hear.
 *
 * @module
 */
import { concatenate } from "./stream.ts";
import { safeLine } from "./text.ts";

/** The most that may wait for one member, in bytes, before others wait too. */
const QUEUE_LIMIT = 1_048_576;
/** The most that one write puts together, in bytes. */
const WRITE_LIMIT = 65_536;
/**
 * How long a member over its limit may take nothing, in milliseconds. A kernel
 * takes more only when a good part of its own buffer, some megabytes, has been
 * read: a shorter time would drop members that are merely slow.
 */
const STALL_TIMEOUT = 3000;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * One connection of a room, and the lines that wait for it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using theirs = await Deno.connect({ port: listener.addr.port });
 * const member = new Member("user1", await listener.accept());
 * const line = member.marked(new TextEncoder().encode("hello"));
 * assertEquals(new TextDecoder().decode(line), "<user1> hello");
 * member.send(line);
 * assertEquals(await theirs.read(new Uint8Array(99)), 13);
 * member.leave();
 * ```
 */
export class Member {
  /** The name that the room gave it. */
  readonly name: string;
  /** Its connection. */
  readonly conn: Deno.Conn;
  /** Whether it was made to leave, as it did not read. */
  dropped = false;
  /** Why nothing could be written to it any more. */
  failure: unknown;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #writing = false;
  #gone = false;
  /** Bytes that the connection has taken: it stands still when nobody reads. */
  #taken = 0;
  #onCaughtUp: (() => void)[] = [];
  /** What stands before each of its lines. */
  #mark: Uint8Array;
  #line = new Uint8Array(0);

  /**
   * Makes a member.
   *
   * @param name Its name.
   * @param conn Its connection; it is closed when the member leaves.
   */
  constructor(name: string, conn: Deno.Conn) {
    this.name = name;
    this.conn = conn;
    this.#mark = encoder.encode(`<${name}> `);
  }

  /** Whether so much waits for it that others have to wait. */
  get behind(): boolean {
    return this.#queued > QUEUE_LIMIT;
  }

  /**
   * Puts its name before what it says, and makes that safe.
   *
   * @param said What it says.
   * @returns The line, until it says something else.
   */
  marked(said: Uint8Array): Uint8Array {
    const safe = isPrintable(said)
      ? said
      : encoder.encode(safeLine(decoder.decode(said)));
    const start = this.#mark.length;
    const length = start + safe.length;
    if (length > this.#line.length) {
      this.#line = new Uint8Array(2 * length);
      this.#line.set(this.#mark);
    }
    this.#line.set(safe, start);
    return this.#line.subarray(0, length);
  }

  /**
   * Queues lines; never waits.
   *
   * @param line The lines, framed; others may share them.
   */
  send(line: Uint8Array): void {
    if (this.#gone || line.length === 0) return;
    this.#queue.push(line);
    this.#queued += line.length;
    if (!this.#writing) this.#write();
  }

  /** Waits until little is queued; drops the member if it does not read. */
  async caughtUp(): Promise<void> {
    while (this.behind && !this.#gone) {
      const before = this.#taken;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, STALL_TIMEOUT);
      this.#onCaughtUp.push(resolve);
      await promise;
      clearTimeout(timer);
      if (this.behind && this.#taken === before) {
        this.dropped = true;
        this.leave();
      }
    }
  }

  /** Closes its connection; what waits is lost. */
  leave(): void {
    this.#gone = true;
    this.#queue = [];
    this.#queued = 0;
    this.#wake();
    this.conn[Symbol.dispose]();
  }

  /** Writes what is queued until nothing is. */
  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#queue.length > 0) {
        const lines = this.#nextPiece();
        for (let written = 0; written < lines.length;) {
          const taken = await this.conn.write(lines.subarray(written));
          written += taken;
          this.#taken += taken;
          this.#queued -= taken;
        }
        if (!this.behind) this.#wake();
      }
    } catch (error) {
      // Its reads end as well, and end its stay.
      this.failure = error;
      this.leave();
    }
    this.#writing = false;
  }

  /** Takes short lines in one piece; a block that all share stays as it is. */
  #nextPiece(): Uint8Array {
    let count = 1;
    let length = this.#queue[0].length;
    while (count < this.#queue.length) {
      length += this.#queue[count].length;
      if (length > WRITE_LIMIT) break;
      count++;
    }
    const lines = this.#queue.splice(0, count);
    return count === 1 ? lines[0] : concatenate(lines);
  }

  #wake(): void {
    for (const resolve of this.#onCaughtUp.splice(0)) resolve();
  }
}

/** Whether all is ASCII that needs no change to be safe, as most is. */
function isPrintable(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte < 0x20 || byte > 0x7e) return false;
  return true;
}
