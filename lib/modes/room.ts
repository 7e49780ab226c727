/**
 * A room: what one member says, all others hear.
 *
 * @module
 */
import { FrameBatch } from "../framing/batch.ts";
import type { Framing } from "../framing.ts";
import { after, chunks, concatenate, turn } from "../tcp/stream.ts";
import { safeLine } from "../text.ts";

const roomEncoder = new TextEncoder();
const roomDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A room as its relay knows it. */
export type RelayedRoom = Pick<Room, "size" | "hear">;

/** Carries what is said in a room to rooms elsewhere, and back. */
export interface RoomRelay extends AsyncDisposable {
  /** What every name here ends with, so that nobody elsewhere has it. */
  readonly suffix: string;
  /** How many members there are elsewhere. */
  readonly members: number;
  /** Passes a line on, which it may keep; never waits. */
  say(line: Uint8Array): void;
  /** Waits until little of what was said is on its way. */
  caughtUp(): Promise<void>;
}

/** Told who comes and goes; a member that stops reading is dropped. */
type RoomListener = (
  event: "joined" | "left" | "dropped",
  name: string,
  conn: Deno.Conn,
) => void;

/** Members who hear each other: slow ones slow the speakers down. */
export class Room implements AsyncDisposable {
  /** What joins it with rooms elsewhere. */
  relay: RoomRelay | undefined;
  #framing: Framing;
  #onEvent: RoomListener;
  #members = new Set<Member>();
  #count = 0;

  constructor(framing: Framing, onEvent: RoomListener = () => {}) {
    this.#framing = framing;
    this.#onEvent = onEvent;
  }

  /** How many members it has. */
  get size(): number {
    return this.#members.size;
  }

  /** Lets a member in until it leaves, says too much in a line, or is dropped. */
  async join(conn: Deno.Conn): Promise<void> {
    const name = `user${++this.#count}${this.relay?.suffix ?? ""}`;
    const member = new Member(name, conn);
    this.#members.add(member);
    this.#onEvent("joined", name, conn);
    try {
      const count = this.size + (this.relay?.members ?? 0);
      member.send(this.#encoded(`* you are ${name}, ${count} here`));
      this.#announce(member, `* ${name} joined`);
      const decoder = this.#framing.createDecoder();
      const lines = new FrameBatch(this.#framing);
      for await (const chunk of chunks(conn, { reuse: true })) {
        await this.#pass(member, decoder.push(chunk), lines);
      }
      await this.#pass(member, decoder.finish(), lines);
    } catch (error) {
      if (!member.dropped) throw member.failure ?? error;
    } finally {
      this.#members.delete(member);
      member.leave();
      this.#onEvent(member.dropped ? "dropped" : "left", name, conn);
      this.#announce(member, `* ${name} left`);
    }
  }

  /** Tells all what was said elsewhere; gives how many lines are too long. */
  async hear(said: Iterable<string>): Promise<number> {
    const lines = new FrameBatch(this.#framing);
    let refused = 0;
    for (const line of said) {
      try {
        lines.add(roomEncoder.encode(safeLine(line)));
      } catch {
        refused++;
      }
    }
    await this.#tell(undefined, lines.take());
    return refused;
  }

  /** Lets go of the relay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay?.[Symbol.asyncDispose]();
  }

  /** Passes on what a member says; what comes before a bad line too. */
  async #pass(
    from: Member,
    said: Iterable<Uint8Array>,
    lines: FrameBatch,
  ): Promise<void> {
    try {
      for (const words of said) {
        const line = from.marked(words);
        this.relay?.say(line.slice());
        if (!lines.add(line)) continue;
        await this.#tell(from, lines.take());
        await turn();
      }
    } finally {
      await this.#tell(from, lines.take());
    }
  }

  /** Tells the others, who share one copy; waits for those that are behind. */
  async #tell(from: Member | undefined, lines: Uint8Array): Promise<void> {
    if (lines.length === 0) return;
    const others = [...this.#members].filter((member) => member !== from);
    // So the speaker, and not our memory, holds what is said next.
    const behind = others.filter((member) => member.behind);
    await Promise.all(behind.map((member) => member.caughtUp()));
    if (from) await this.relay?.caughtUp();
    for (const member of others) member.send(lines);
  }

  /** Tells the others, but not those who have enough to read as it is. */
  #announce(about: Member, text: string): void {
    this.relay?.say(roomEncoder.encode(text));
    const line = this.#encoded(text);
    for (const member of this.#members) {
      if (member !== about && !member.behind) member.send(line);
    }
  }

  #encoded(text: string): Uint8Array {
    return this.#framing.encode(roomEncoder.encode(text));
  }
}

/** The most that may wait for one member, in bytes, before others wait too. */
const MEMBER_QUEUE_LIMIT = 1_048_576;
/** The most that one write puts together, in bytes. */
const WRITE_LIMIT = 65_536;
/**
 * How long a member over its limit may take nothing, in milliseconds. A kernel
 * takes more only when a good part of its own buffer, some megabytes, has been
 * read: a shorter time would drop members that are merely slow.
 */
const STALL_TIMEOUT = 3000;

/** One connection of a room, and the lines that wait for it. */
class Member {
  /** Whether it was made to leave, as it did not read. */
  dropped = false;
  /** Why nothing could be written to it any more. */
  failure: unknown;
  #conn: Deno.Conn;
  #mark: Uint8Array;
  #line = new Uint8Array(0);
  #queue: Uint8Array[] = [];
  #queued = 0;
  /** Bytes that the connection has taken: it stands still when nobody reads. */
  #taken = 0;
  #writing = false;
  #onCaughtUp: (() => void)[] = [];

  constructor(name: string, conn: Deno.Conn) {
    this.#conn = conn;
    this.#mark = roomEncoder.encode(`<${name}> `);
  }

  /** Whether so much waits for it that others have to wait. */
  get behind(): boolean {
    return this.#queued > MEMBER_QUEUE_LIMIT;
  }

  /**
   * Puts its name before what it says, which is made safe to look at. The line
   * lasts until the next: one buffer for all makes a busy room a fifth faster.
   */
  marked(said: Uint8Array): Uint8Array {
    // Most is ASCII that needs no change.
    const safe = said.every((byte) => byte >= 0x20 && byte <= 0x7e)
      ? said
      : roomEncoder.encode(safeLine(roomDecoder.decode(said)));
    const length = this.#mark.length + safe.length;
    if (length > this.#line.length) {
      this.#line = new Uint8Array(2 * length);
      this.#line.set(this.#mark);
    }
    this.#line.set(safe, this.#mark.length);
    return this.#line.subarray(0, length);
  }

  /** Queues lines, which others may share; never waits. */
  send(lines: Uint8Array): void {
    this.#queue.push(lines);
    this.#queued += lines.length;
    if (!this.#writing) this.#write();
  }

  /** Waits until little is queued; drops the member if it does not read. */
  async caughtUp(): Promise<void> {
    while (this.behind) {
      const before = this.#taken;
      const { promise, resolve } = Promise.withResolvers<void>();
      using _timer = after(STALL_TIMEOUT, resolve);
      this.#onCaughtUp.push(resolve);
      await promise;
      this.dropped ||= this.behind && this.#taken === before;
      if (this.dropped) this.leave();
    }
  }

  /** Closes its connection; what waits is lost. */
  leave(): void {
    this.#queue = [];
    this.#queued = 0;
    this.#wake();
    this.#conn[Symbol.dispose]();
  }

  /** Writes what is queued until nothing is. */
  async #write(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#queue.length > 0) {
        const lines = this.#nextPiece();
        for (let written = 0; written < lines.length;) {
          const taken = await this.#conn.write(lines.subarray(written));
          written += taken;
          this.#taken += taken;
          this.#queued -= taken;
        }
        if (!this.behind) this.#wake();
      }
    } catch (error) {
      // Its reads end as well, and end its stay.
      this.failure ??= error;
      this.leave();
    }
    this.#writing = false;
  }

  /** Takes short lines in one piece; a block that all share stays as it is. */
  #nextPiece(): Uint8Array {
    let length = 0;
    const isTooMuch = (it: Uint8Array) => (length += it.length) > WRITE_LIMIT;
    const count = this.#queue.findIndex(isTooMuch);
    const lines = this.#queue.splice(0, count < 0 ? Infinity : count || 1);
    return lines.length === 1 ? lines[0] : concatenate(lines);
  }

  #wake(): void {
    for (const resolve of this.#onCaughtUp.splice(0)) resolve();
  }
}
