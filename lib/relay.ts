/**
 * Carries what is said in a room to rooms elsewhere, and back, by NATS.
 *
 * Each server publishes what its members say under a subject of its own. A
 * message is a line of JSON about the server, and lines as members hear them:
 *
 *     room.k3m9qz  {"lines":41,"bytes":2071,"members":2}
 *                  <user7@k3m9qz> hello
 *                  * user8@k3m9qz joined
 *
 * NATS keeps the order of what one server publishes, but forgets what it cannot
 * deliver. So every message tells how many lines there were before it, lost
 * ones too: who hears it knows what it has missed. Once a second, and after
 * much was heard, a server tells how far it has heard the others; speakers wait
 * for those that are behind, as they do for slow members of their own room.
 *
 * @module
 */
import { FrameBatch } from "./frame_batch.ts";
import { lines } from "./lines.ts";
import type { NetAddress } from "./address.ts";
import type { Log } from "./command/log.ts";
import { readText } from "./tcp/certificates.ts";
import {
  connectNats,
  type NatsConnection,
  type NatsMessage,
  parseNatsAddress,
} from "./nats.ts";
import { pause, turn } from "./pause.ts";
import {
  Elsewhere,
  isCount,
  readRelayHeader,
  Receiver,
  type RelayHeader,
} from "./relay_peers.ts";
import type { RelayedRoom, RoomRelay } from "./modes/room.ts";
import { concatenate } from "./stream.ts";

/** The most that may be on its way to a server, in bytes. */
const WINDOW = 1_048_576;
/** After how many bytes a server says that it has heard them. */
const ACKNOWLEDGE = WINDOW / 4;
/** The most that may wait for our own members, in bytes; the rest is lost. */
const INBOX_LIMIT = 16 * WINDOW;
/** What a waiting message takes besides its lines, in bytes. */
const MESSAGE_SIZE = 512;
/** How often a server says that it is there, in milliseconds. */
const BEAT = 1000;
/** How long a server may say nothing, in milliseconds. */
const ABSENCE = 5000;
/** How long the numbers of an absent server are kept, in milliseconds. */
const MEMORY = 3_600_000;
/** How long a server may hear nothing while others wait, in milliseconds. */
const STALL_TIMEOUT = 3000;
/** How long NATS may take to hear the farewell, in milliseconds. */
const FAREWELL_TIMEOUT = 2000;
/** Servers that are known at a time: whoever can publish can make them up. */
const MOST_SERVERS = 1000;

/** No vowels, which might make words, and nothing that looks like another. */
const LETTERS = "23456789bcdfghjkmnpqrstvwxz";
const ID_REGEXP = new RegExp(`^[${LETTERS}]{6}$`);
const LINE_FEED = 0x0a;
const NO_LINES = new Uint8Array(0);
const encoder = new TextEncoder();

/** Where NATS is, and what to sign in with. */
export interface RelayPlace {
  /** Host and port. */
  nats: NetAddress;
  /** A file with credentials. */
  path?: string;
}

/**
 * Reads the options of a server.
 *
 * @param options What was given.
 * @returns Where to relay.
 */
export function readRelayOptions(
  options: { mode: string; relay?: string; relayCreds?: string },
): RelayPlace {
  const { mode, relay, relayCreds: path } = options;
  if (relay === undefined) {
    throw new SyntaxError("--relay-creds goes with --relay");
  }
  let nats;
  try {
    nats = parseNatsAddress(relay);
  } catch (error) {
    throw new SyntaxError(`--relay ${(error as Error).message}`);
  }
  if (mode !== "room") throw new SyntaxError("--relay is for --mode room");
  return { nats, path };
}

/**
 * Joins a room with those of other servers.
 *
 * @param room The room.
 * @param place Where NATS is.
 * @param log Told what becomes of it.
 * @returns What it is joined by.
 */
export async function openRelay(
  room: RelayedRoom,
  { nats, path }: RelayPlace,
  log: Log,
): Promise<Relay> {
  const credentials = path ? { path, text: await readText(path) } : undefined;
  const connection = await connectNats(nats, credentials);
  const relay = new Relay(connection, (event, text) => log.info(event, text));
  relay.open(room);
  return relay;
}

/** Told what becomes of the relay, in a word and in words. */
export type RelayListener = (event: string, text: string) => void;

/** What a server has said, until our members are told. */
interface Arrival {
  from: Elsewhere;
  header: RelayHeader;
  lines: Uint8Array;
}

/**
 * One server's part of a room that spans servers.
 *
 * While NATS is out of reach, or too slow, what is said stays here: nothing is
 * kept for later, so that memory has a bound.
 *
 * @example
 * ```ts
 * import { assertMatch } from "@std/assert";
 * import { parseFraming } from "./framing.ts";
 * import { Room } from "./modes/room.ts";
 *
 * // In earnest, what connectNats gives.
 * const nats = {
 *   publish() {},
 *   subscribe() {},
 *   flush: () => Promise.resolve(),
 *   status: () => new ReadableStream(),
 *   close: () => Promise.resolve(),
 * };
 * await using relay = new Relay(nats);
 * const _room = new Room(parseFraming("lines"), undefined, relay);
 * assertMatch(relay.suffix, /^@\w{6}$/);
 * ```
 */
export class Relay implements RoomRelay, AsyncDisposable {
  /** What every name here ends with: `@` and six characters by chance. */
  readonly suffix: string;
  #id = Array.from(
    crypto.getRandomValues(new Uint8Array(6)),
    (byte) => LETTERS[byte % LETTERS.length],
  ).join("");
  #nats: NatsConnection;
  #onEvent: RelayListener;
  #room: RelayedRoom | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #moved = Promise.withResolvers<void>();

  #batch = new FrameBatch(lines(Infinity));
  #batched = 0;
  /** Lines said here, and bytes published. */
  #lines = 0;
  #bytes = 0;
  /** Lines said while NATS was out of reach. */
  #kept = 0;
  #reachable = true;
  #confirming = false;
  #broker = new Receiver();

  #servers = new Map<string, Elsewhere>();
  #inbox: Arrival[] = [];
  #inboxSize = 0;
  #delivering = false;

  /**
   * Makes a relay, for one room.
   *
   * @param nats The connection; it is closed with the relay.
   * @param onEvent Told what becomes of it.
   */
  constructor(nats: NatsConnection, onEvent: RelayListener = () => {}) {
    this.#nats = nats;
    this.#onEvent = onEvent;
    this.suffix = `@${this.#id}`;
  }

  /** How many members there are elsewhere. */
  get members(): number {
    let sum = 0;
    for (const { members } of this.#servers.values()) sum += members;
    return sum;
  }

  /**
   * Begins to relay.
   *
   * @param room Whose members speak, and hear what is said elsewhere.
   */
  open(room: RelayedRoom): void {
    this.#room = room;
    this.#onEvent("relaying", `Names in this room end with ${this.suffix}`);
    this.#nats.subscribe("room.*", {
      callback: (error, message) => {
        if (error === null) this.#receive(message);
      },
    });
    this.#watch();
    this.#timer = setInterval(() => {
      this.#findAbsent();
      this.#beat();
      this.#wake();
    }, BEAT);
    this.#beat();
  }

  /**
   * Passes a line on; never waits.
   *
   * @param line What members here hear.
   */
  say(line: Uint8Array): void {
    this.#batched++;
    if (this.#batch.add(line)) this.#send();
    // What others say in the same turn goes along.
    else if (this.#batched === 1) turn().then(() => this.#send());
  }

  /** Waits until little of what was said is on its way. */
  async caughtUp(): Promise<void> {
    while (this.#reachable) {
      const { promise: moved } = this.#moved;
      const behind = [this.#broker, ...this.#servers.values()].filter((each) =>
        each.awaited && this.#bytes - each.heard > WINDOW
      );
      if (behind.length === 0) return;
      const now = performance.now();
      for (const each of behind) {
        each.stuckSince ??= now;
        if (now - each.stuckSince > STALL_TIMEOUT) this.#giveUp(each);
      }
      await moved;
    }
  }

  /** Says farewell, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#send();
    this.#publish(NO_LINES, 0, { bye: true });
    if (this.#reachable) {
      const over = new AbortController();
      const heard = this.#nats.flush().catch(() => {});
      heard.then(() => over.abort());
      await Promise.race([heard, pause(FAREWELL_TIMEOUT, over.signal)]);
    }
    await this.#nats.close();
  }

  #send(): void {
    const count = this.#batched;
    this.#batched = 0;
    if (count > 0) this.#publish(this.#batch.take(), count);
  }

  #publish(
    said: Uint8Array,
    count: number,
    more: Partial<RelayHeader> = {},
  ): void {
    const members = this.#room?.size ?? 0;
    const header = { lines: this.#lines, bytes: this.#bytes, members, ...more };
    const first = encoder.encode(`${JSON.stringify(header)}\n`);
    this.#lines += count;
    const most = this.#nats.info?.max_payload ?? Infinity;
    const fits = first.length + said.length <= most;
    if (!this.#reachable) this.#kept += count;
    else if (!fits) {
      this.#onEvent("unsent", `${counted(count, "line")} too long for NATS`);
    } else {
      this.#nats.publish(`room.${this.#id}`, concatenate([first, said]));
      this.#bytes += said.length;
      this.#confirm();
    }
  }

  /** Says that we are there, and how far we have heard the others. */
  #beat(): void {
    const heard: Record<string, number> = {};
    for (const [id, server] of this.#servers) {
      heard[id] = server.acknowledged = server.bytes;
    }
    this.#publish(NO_LINES, 0, { heard });
  }

  /** Asks NATS to answer when it has all so far: one question at a time. */
  async #confirm(): Promise<void> {
    if (this.#confirming) return;
    this.#confirming = true;
    const bytes = this.#bytes;
    const answered = await this.#nats.flush().then(() => true, () => false);
    this.#confirming = false;
    // If not, the connection is lost; the next one asks again.
    if (!answered) return;
    this.#broker.hasHeard(bytes);
    if (!this.#reachable) this.#returned();
    this.#wake();
    if (bytes < this.#bytes) this.#confirm();
  }

  async #watch(): Promise<void> {
    let last: string | undefined;
    for await (const { type, error } of this.#nats.status()) {
      if (type === "disconnect") this.#lost("the connection is lost");
      if (type === "reconnect") this.#confirm();
      // Refused credentials, say: once, not with every attempt.
      if (error === undefined || error.message === last) continue;
      last = error.message;
      this.#onEvent("complaint", `NATS says: ${last}`);
    }
  }

  #giveUp(receiver: Receiver): void {
    receiver.awaited = false;
    if (receiver === this.#broker) this.#lost("it does not keep up");
  }

  #lost(reason: string): void {
    if (!this.#reachable) return;
    this.#reachable = false;
    this.#kept = 0;
    this.#wake();
    this.#onEvent("unreachable", `NATS is out of reach: ${reason}`);
    this.#tell("other servers are out of reach; what is said stays here");
  }

  #returned(): void {
    this.#reachable = true;
    for (const server of this.#servers.values()) {
      if (server.gone) continue;
      // What was on its way has come, or never will.
      server.hasHeard(this.#bytes);
      server.seen = performance.now();
    }
    this.#beat();
    const kept = `${counted(this.#kept, "line")} stayed here meanwhile`;
    this.#onEvent("reachable", `NATS is back, ${kept}`);
    this.#tell(`other servers are back, ${kept}`);
  }

  async #tell(text: string): Promise<void> {
    await this.#room?.hear([`* ${text}`]);
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  /** Takes a message in; anyone who can publish may have sent it. */
  #receive({ subject, data }: NatsMessage): void {
    const id = subject.slice("room.".length);
    const end = data.indexOf(LINE_FEED);
    const header = readRelayHeader(data.subarray(0, end));
    if (id === this.#id || !ID_REGEXP.test(id) || !header) return;
    const from = this.#servers.get(id) ?? this.#meet(id, header);
    if (from === undefined) return;
    from.seen = performance.now();
    from.members = header.members;
    if (from.gone) {
      from.gone = false;
      this.#tell(`${counted(header.members, "member")} back at @${id}`);
    }
    const heard = header.heard?.[this.#id];
    if (isCount(heard) && heard > from.heard && heard <= this.#bytes) {
      from.hasHeard(heard);
      this.#wake();
    }
    // Lost if there is no room for it; the next message shows how much.
    if (this.#inboxSize > INBOX_LIMIT) return;
    const lines = data.subarray(end + 1);
    this.#inbox.push({ from, header, lines });
    this.#inboxSize += lines.length + MESSAGE_SIZE;
    this.#deliver();
  }

  #meet(id: string, header: RelayHeader): Elsewhere | undefined {
    if (header.bye || this.#servers.size >= MOST_SERVERS) return undefined;
    const server = new Elsewhere(id, header);
    server.heard = this.#bytes;
    this.#servers.set(id, server);
    this.#onEvent("met", `The room is shared with the server @${id}`);
    this.#beat();
    return server;
  }

  /** Tells our members what has come, one message after the other. */
  async #deliver(): Promise<void> {
    if (this.#delivering) return;
    this.#delivering = true;
    while (this.#inbox.length > 0) {
      for (const { from, header, lines } of this.#inbox.splice(0)) {
        await this.#hear(from, header, lines);
        this.#inboxSize -= lines.length + MESSAGE_SIZE;
      }
    }
    this.#delivering = false;
  }

  async #hear(from: Elsewhere, header: RelayHeader, lines: Uint8Array) {
    await this.#missed(from, header.lines - from.lines);
    const said = lines.length === 0
      ? []
      : new TextDecoder().decode(lines).split("\n").slice(0, -1);
    from.lines = header.lines + said.length;
    from.bytes = header.bytes + lines.length;
    if (said.length > 0) {
      const genuine = said.filter((line) => from.shape.test(line));
      const refused = await this.#room!.hear(genuine);
      await this.#missed(from, said.length - genuine.length + refused);
    }
    if (header.bye) {
      this.#servers.delete(from.id);
      this.#onEvent("parted", `The server @${from.id} has stopped`);
    } else if (from.bytes - from.acknowledged >= ACKNOWLEDGE) this.#beat();
  }

  async #missed(from: Elsewhere, count: number): Promise<void> {
    if (count <= 0) return;
    const text = `missed ${counted(count, "line")} from @${from.id}`;
    this.#onEvent("missed", text);
    await this.#tell(text);
  }

  /** Notices servers that have stopped without a farewell. */
  #findAbsent(): void {
    if (!this.#reachable) return;
    const now = performance.now();
    for (const [id, server] of this.#servers) {
      // It may only be cut off: what it said meanwhile is counted.
      if (now - server.seen > MEMORY) this.#servers.delete(id);
      if (server.gone || now - server.seen < ABSENCE) continue;
      server.gone = true;
      server.awaited = false;
      const text = `lost ${counted(server.members, "member")} at @${id}`;
      server.members = 0;
      this.#onEvent("absent", text);
      this.#tell(text);
    }
  }
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
