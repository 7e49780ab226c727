/**
 * A room: what one member says, all others hear.
 *
 * @module
 */
import type { Framing } from "./frame.ts";
import { FrameBatch } from "./frame_batch.ts";
import { turn } from "./pause.ts";
import { concatenate, reusedChunks } from "./stream.ts";
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

/** Told of who comes and goes. */
export type RoomListener = (
  event: "joined" | "left" | "dropped",
  name: string,
  conn: Deno.Conn,
) => void;

/**
 * Members who hear each other.
 *
 * A member who reads slowly slows the speakers down; one who does not read at
 * all is dropped, so that nobody else loses a line and no queue grows without
 * end.
 *
 * @example
 * ```ts
 * import { serve } from "./tcp.ts";
 * import { parseFraming } from "./framing.ts";
 *
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const stop = new AbortController();
 * const room = new Room(parseFraming("lines"));
 * const served = serve(listener, (conn) => room.join(conn), {
 *   signal: stop.signal,
 * });
 * using _member = await Deno.connect({ port: listener.addr.port });
 * stop.abort();
 * _member.close();
 * await served;
 * ```
 */
export class Room {
  #framing: Framing;
  #onEvent: RoomListener;
  #members = new Set<Member>();
  #count = 0;

  /**
   * Opens a room.
   *
   * @param framing What separates the lines.
   * @param onEvent Told of who comes and goes.
   */
  constructor(framing: Framing, onEvent: RoomListener = () => {}) {
    this.#framing = framing;
    this.#onEvent = onEvent;
  }

  /**
   * Lets a member in, until it leaves or is dropped.
   *
   * Its lines are marked with its name, which the room gives. Control
   * characters in them are shown, so that nobody can write over a name.
   *
   * @param conn The member's connection.
   * @throws {FrameTooLongError} If the member says too much in one line.
   */
  async join(conn: Deno.Conn): Promise<void> {
    const member = new Member(`user${++this.#count}`, conn);
    const { name } = member;
    this.#members.add(member);
    this.#onEvent("joined", name, conn);
    try {
      member.send(this.#line(`* you are ${name}, ${this.#members.size} here`));
      this.#announce(member, `* ${name} joined`);
      await this.#listen(member);
    } catch (error) {
      if (!member.dropped) throw member.failure ?? error;
    } finally {
      this.#members.delete(member);
      this.#announce(member, `* ${name} left`);
      this.#onEvent(member.dropped ? "dropped" : "left", name, conn);
      member.leave();
    }
  }

  async #listen(member: Member): Promise<void> {
    const decoder = this.#framing.createDecoder();
    const lines = new FrameBatch(this.#framing);
    for await (const chunk of reusedChunks(member.conn)) {
      await this.#relay(member, decoder.push(chunk), lines);
    }
    await this.#relay(member, decoder.finish(), lines);
  }

  async #relay(
    from: Member,
    frames: Iterable<Uint8Array>,
    lines: FrameBatch,
  ): Promise<void> {
    try {
      for (const frame of frames) {
        if (!lines.add(from.marked(frame))) continue;
        await this.#tell(from, lines.take());
        await turn();
      }
    } finally {
      await this.#tell(from, lines.take());
    }
  }

  /** Tells the others, who share one copy of what is said. */
  async #tell(from: Member, lines: Uint8Array): Promise<void> {
    const others = [...this.#members].filter((member) => member !== from);
    // Members that are behind are waited for, so that the speaker, and not
    // the memory of the server, holds what is said next.
    await Promise.all(others.map((member) => member.caughtUp()));
    for (const member of others) member.send(lines);
  }

  #line(text: string): Uint8Array {
    return this.#framing.encode(encoder.encode(text));
  }

  /** Tells the others, but not those who have enough to read as it is. */
  #announce(about: Member, text: string): void {
    for (const member of this.#members) {
      if (member !== about && !member.behind) member.send(this.#line(text));
    }
  }
}

/** One connection of a room, and the lines that wait for it. */
class Member {
  readonly name: string;
  readonly conn: Deno.Conn;
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

  constructor(name: string, conn: Deno.Conn) {
    this.name = name;
    this.conn = conn;
    this.#mark = encoder.encode(`<${name}> `);
  }

  get behind(): boolean {
    return this.#queued > QUEUE_LIMIT;
  }

  /** What it says, after its name and safe; until it says something else. */
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

  /** Queues a line; never waits. */
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
