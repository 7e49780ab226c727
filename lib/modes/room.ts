// A room: what one member says, all others hear.
import type { Framing } from "../framing.ts";
import { after, concatenate, pause } from "../tcp/stream.ts";
import { safeLine } from "../text.ts";
import { answer } from "./services.ts";

const roomEncoder = new TextEncoder();
const roomDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Members who hear each other: slow ones slow the speakers down. */
export class Room {
  /** What joins it with rooms elsewhere; at first there are none. */
  relay = {
    /** What every name here ends with, so that none elsewhere is the same. */
    suffix: "",
    /** How many members there are elsewhere. */
    members: 0,
    /** Passes a copy of a line on; it never waits. */
    say(_line: Uint8Array): void {},
    /** Waits until little of what was said is on its way. */
    caughtUp(): Promise<void> | void {},
  };
  #framing: Framing;
  #members = new Set<Member>();
  #count = 0;
  /** Who has joined and left, as members will hear it. */
  #news = new Uint8Array(0);

  /** `onEvent` is told who joined, left, or was dropped for not reading. */
  constructor(
    framing: Framing,
    readonly onEvent = (_event: string, _name: string, _conn: Deno.Conn) => {},
  ) {
    this.#framing = {
      ...framing,
      // A line that is too long for it goes in parts.
      encodeInto: (line, buffer, start) =>
        partsOf(line, framing).reduce(
          (end, part) => framing.encodeInto(part, buffer, end),
          start,
        ),
    };
  }

  get size(): number {
    return this.#members.size;
  }

  /** Lets a member in until it leaves, breaks the framing, or is dropped. */
  async join(conn: Deno.Conn): Promise<void> {
    const name = `user${++this.#count}${this.relay.suffix}`;
    const mark = `<${name}> `;
    const member = new Member(conn);
    const reply = (words: Uint8Array) => {
      const line = marked(mark, words);

      // On request: it is heard elsewhere, too.
      for (const part of partsOf(line, this.#framing)) this.relay.say(part);

      return line;
    };
    this.#members.add(member);
    this.onEvent("joined", name, conn);
    try {
      const count = this.size + this.relay.members;
      member.send(this.#encoded(`* you are ${name}, ${count} here`));
      this.#announce(member, `* ${name} joined`);
      const tell = (lines: Uint8Array) => this.#tell(member, lines);
      await answer(conn, this.#framing, reply, tell);
    } catch (error) {
      if (member.failure !== STALLED) throw member.failure ?? error;
    } finally {
      this.#members.delete(member);
      member.send(this.#news.subarray(member.heard));
      const event = member.failure === STALLED ? "dropped" : "left";
      this.onEvent(event, name, conn);
      this.#announce(member, `* ${name} left`);
    }
  }

  // On request: tells all what was said elsewhere. Gives how many lines it left
  // out: too long, or of no speaker whose name ends with `suffix`.
  async hear(said: string[], suffix?: string): Promise<number> {
    const name = `user\\d{1,15}${suffix}`;
    const shape = new RegExp(`^(<${name}> |\\* ${name} (joined|left)$)`);
    const { maxFrameLength } = this.#framing;
    const lines = said.filter((line) => !suffix || shape.test(line))
      .map((line) => roomEncoder.encode(safeLine(line)))
      .filter((line) => line.length <= maxFrameLength);
    const frames = lines.map((line) => this.#framing.encode(line));
    await this.#tell(undefined, concatenate(frames));
    return said.length - lines.length;
  }

  /** Tells the others; until then no more is read from the speaker. */
  async #tell(from: Member | undefined, lines: Uint8Array): Promise<void> {
    if (lines.length === 0) return;
    const others = [...this.#members].filter((member) => member !== from);
    for (const member of others) {
      while (member.behind) await member.progress();
    }
    if (from) await this.relay.caughtUp();
    this.#tellNews();
    for (const member of others) member.send(lines);
  }

  /** Tells of a member, soon: many that come at once are told in one piece. */
  #announce(about: Member, text: string): void {
    this.relay.say(roomEncoder.encode(text));
    if (this.#news.length === 0) after(NEWS_DELAY, () => this.#tellNews());
    this.#news = concatenate([this.#news, this.#encoded(text)]);
    about.heard = this.#news.length;
  }

  /** Tells the news to all except those that are behind. */
  #tellNews(): void {
    const news = this.#news;
    this.#news = new Uint8Array(0);
    for (const member of this.#members) {
      if (!member.behind) member.send(news.subarray(member.heard));
      member.heard = 0;
    }
  }

  #encoded(text: string): Uint8Array {
    return this.#framing.encode(roomEncoder.encode(text));
  }
}

/** Cuts a line too long for a framing into several, each with the name. */
function partsOf(line: Uint8Array, framing: Framing): Uint8Array[] {
  let end = framing.maxFrameLength;
  if (line.length <= end) return [line];
  while ((line[end] & 0xc0) === 0x80) end--; // not within a character
  const name = line.subarray(0, line.indexOf(0x20) + 1);
  const rest = concatenate([name, line.subarray(end)]);
  return [line.subarray(0, end), ...partsOf(rest, framing)];
}

/** How long news of joining and leaving may wait, in ms. */
const NEWS_DELAY = 20;

/** The last line that was marked: one buffer makes a room a fifth faster. */
let roomLine = new Uint8Array(0);

/** Puts a name before words, made safe to show; valid until the next call. */
function marked(mark: string, words: Uint8Array): Uint8Array {
  const said = roomDecoder.decode(words);
  const line = mark + (/[^ -~]/.test(said) ? safeLine(said) : said);
  const most = 3 * line.length; // bytes
  if (most > roomLine.length) roomLine = new Uint8Array(2 * most);
  const { written } = roomEncoder.encodeInto(line, roomLine);
  return roomLine.subarray(0, written);
}

/** About how many bytes of short lines one write puts together. */
const WRITE_LIMIT = 65_536;
/** The most bytes that wait for one member, before others wait too. */
const MEMBER_QUEUE_LIMIT = 1_048_576;
// How long it may then take nothing, in ms. With full buffers, one that reads
// 100 kB a second takes nothing for 14 s, and then more than a megabyte.
const STALL_TIMEOUT = 16_000;
const STALLED = Symbol("it does not read");

/** One connection of a room, and the lines that wait for it. */
class Member {
  /** Why nothing is written to it any more. */
  failure: unknown;
  /** How much of the news it need not be told: up to its own. */
  heard = 0;
  #queue: Uint8Array[] = [];
  /** How many bytes wait or are being written. */
  #queued = 0;

  constructor(readonly conn: Deno.Conn) {}

  /** Whether so much waits for it that others have to wait. */
  get behind(): boolean {
    return this.#queued > MEMBER_QUEUE_LIMIT;
  }

  /** Queues lines, which others may share; never waits. */
  send(lines: Uint8Array): void {
    if (lines.length === 0) return;
    this.#queue.push(lines);
    this.#queued += lines.length;
    if (this.#queued === lines.length) this.#write();
  }

  /** Waits until it takes something; drops it if it does not read. */
  async progress(): Promise<void> {
    const before = this.#queued;
    using _timer = after(STALL_TIMEOUT, () => this.#drop(STALLED));
    while (this.behind && this.#queued === before) await pause(5);
  }

  async #write(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        // A large piece, which others may share, is written without a copy.
        const average = this.#queued / this.#queue.length;
        const few = Math.max(1, WRITE_LIMIT / average);
        const pieces = this.#queue.splice(0, few);
        let rest = pieces.length > 1 ? concatenate(pieces) : pieces[0];
        while (rest.length > 0) {
          const taken = await this.conn.write(rest);
          rest = rest.subarray(taken);
          this.#queued -= taken;
        }
      }
    } catch (error) {
      this.#drop(error);
    }
  }

  /** Closes the connection, which ends its reads and so `join`. */
  #drop(reason: unknown): void {
    this.failure ??= reason;
    this.#queue = [];
    this.#queued = 0;
    this.conn[Symbol.dispose]();
  }
}
