/**
 * A room: what one member says, all others hear.
 *
 * @module
 */
import type { Framing } from "./frame.ts";
import { FrameBatch } from "./frame_batch.ts";
import { Member } from "./member.ts";
import { turn } from "./pause.ts";
import { reusedChunks } from "./stream.ts";
import { safeLine } from "./text.ts";

const encoder = new TextEncoder();

/** Told of who comes and goes. */
export type RoomListener = (
  event: "joined" | "left" | "dropped",
  name: string,
  conn: Deno.Conn,
) => void;

/** A room as its relay knows it. */
export interface RelayedRoom {
  /** How many members it has. */
  readonly size: number;
  /** Tells all of them what was said elsewhere; {@linkcode Room.hear}. */
  hear(lines: Iterable<string>): Promise<number>;
}

/** Carries what is said in a room to rooms elsewhere, and back. */
export interface RoomRelay {
  /** What every name here ends with, so that nobody elsewhere has it. */
  readonly suffix: string;
  /** How many members there are elsewhere. */
  readonly members: number;
  /** Begins to relay. */
  open(room: RelayedRoom): void;
  /** Passes a line on; never waits. */
  say(line: Uint8Array): void;
  /** Waits until little of what was said is on its way. */
  caughtUp(): Promise<void>;
}

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
export class Room implements RelayedRoom {
  #framing: Framing;
  #onEvent: RoomListener;
  #elsewhere: RoomRelay | undefined;
  #members = new Set<Member>();
  #count = 0;

  /**
   * Opens a room.
   *
   * @param framing What separates the lines.
   * @param onEvent Told of who comes and goes.
   * @param relay What joins it with rooms elsewhere.
   */
  constructor(
    framing: Framing,
    onEvent: RoomListener = () => {},
    relay?: RoomRelay,
  ) {
    this.#framing = framing;
    this.#onEvent = onEvent;
    this.#elsewhere = relay;
    relay?.open(this);
  }

  /** How many members it has. */
  get size(): number {
    return this.#members.size;
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
    const elsewhere = this.#elsewhere;
    const suffix = elsewhere?.suffix ?? "";
    const member = new Member(`user${++this.#count}${suffix}`, conn);
    const { name } = member;
    this.#members.add(member);
    this.#onEvent("joined", name, conn);
    try {
      const count = this.size + (elsewhere?.members ?? 0);
      member.send(this.#line(`* you are ${name}, ${count} here`));
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

  /**
   * Tells all members what was said elsewhere; slow ones are waited for.
   *
   * Control characters are shown here, too: who sent them may not have cared.
   *
   * @param said The lines, with the names of those who said them.
   * @returns How many of them the framing cannot carry: too long, mostly.
   */
  async hear(said: Iterable<string>): Promise<number> {
    const lines = new FrameBatch(this.#framing);
    let refused = 0;
    for (const line of said) {
      try {
        lines.add(encoder.encode(safeLine(line)));
      } catch {
        refused++;
      }
    }
    await this.#tell(undefined, lines.take());
    return refused;
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
        const line = from.marked(frame);
        const full = lines.add(line);
        this.#elsewhere?.say(line);
        if (!full) continue;
        await this.#tell(from, lines.take());
        await turn();
      }
    } finally {
      await this.#tell(from, lines.take());
    }
  }

  /** Tells the others, who share one copy of what is said. */
  async #tell(from: Member | undefined, lines: Uint8Array): Promise<void> {
    if (lines.length === 0) return;
    const others = [...this.#members].filter((member) => member !== from);
    // Members that are behind are waited for, so that the speaker, and not
    // the memory of the server, holds what is said next.
    const behind: { caughtUp(): Promise<void> }[] = [...others];
    if (from && this.#elsewhere) behind.push(this.#elsewhere);
    await Promise.all(behind.map((each) => each.caughtUp()));
    for (const member of others) member.send(lines);
  }

  #line(text: string): Uint8Array {
    return this.#framing.encode(encoder.encode(text));
  }

  /** Tells the others, but not those who have enough to read as it is. */
  #announce(about: Member, text: string): void {
    this.#elsewhere?.say(encoder.encode(text));
    for (const member of this.#members) {
      if (member !== about && !member.behind) member.send(this.#line(text));
    }
  }
}
