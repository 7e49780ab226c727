/**
 * Rooms that span machines: what is said in a room is published to a stream of
 * NATS JetStream, and what was said in others is read from it. The stream keeps
 * order, stores, and lets a server that was away read on from where it was.
 *
 * A message is a line of JSON, and lines as members hear them:
 *
 *     room.k3m9qz  {"first":41,"members":2}
 *                  <user7@k3m9qz> hello
 *                  * user8@k3m9qz joined
 *
 * `first` is the number of its first line: a message that starts below the next
 * number was published twice, one that starts above it shows how many lines the
 * stream has lost. Beside the stream, each server says now and then that it is
 * there, so that others notice when it has died.
 *
 * @module
 */
import type * as JetStream from "@nats-io/jetstream";
import type * as Nats from "@nats-io/transport-node";
import { formatAddress, type NetAddress, parseAddress } from "../address.ts";
import { FrameBatch } from "../framing/batch.ts";
import { parseFraming } from "../framing.ts";
import { readText } from "../tcp/certificates.ts";
import { describeError } from "../tcp/errors.ts";
import { concatenate, pause, turn } from "../tcp/stream.ts";
import type { RelayedRoom, RoomRelay } from "./room.ts";

/**
 * The clients; deno.json names the same. Constants, not literals in `import()`:
 * Deno fetches what it can read there, even if nobody asks for it.
 */
export const NATS_CLIENT = "npm:@nats-io/transport-node@^3.4.0";
export const JETSTREAM_CLIENT = "npm:@nats-io/jetstream@^3.4.0";

/** The stream, unless the operator has set it up: 64 MiB, 10 minutes. */
const ROOM_STREAM = {
  name: "ROOM",
  subjects: ["room.*"],
  max_bytes: 67_108_864,
  max_age: 600e9, // in nanoseconds
};
/** The most that waits for NATS, in bytes; what is said beyond that is lost. */
const KEPT = 1_048_576;
/** The most that one message holds, and room for its line of JSON, in bytes. */
const MESSAGE_LENGTH = 65_536;
const HEADER_ROOM = 256;
/** How long NATS may take to store a message, and the pause before a retry. */
const STORE_TIMEOUT = 2000;
const STORE_PAUSE = 250;
/** How often a server says that it is there, and how long it may not. */
const BEAT = 1500;
const ABSENCE = 6000;
/** How long it may take to say what is left at the end, in milliseconds. */
const FAREWELL_TIMEOUT = 2000;
/** Servers that are known at a time: whoever can publish can make them up. */
const MOST_SERVERS = 1000;
/** No vowels, which might make words, and nothing that looks like another. */
const ID_LETTERS = "23456789bcdfghjkmnpqrstvwxz";
const ID_REGEXP = new RegExp(`^[${ID_LETTERS}]{6}$`);

/** What a message or a beat says about its server. */
interface RelayHeader {
  first: number;
  members: number;
  bye?: boolean;
}

/** Another server: its next line, its members, and when it was last heard. */
interface OtherServer {
  next?: number;
  members: number;
  seen: number;
  gone: boolean;
}

/** Told what becomes of a relay, in a word and in words. */
type RelayListener = (event: string, message: string) => void;

/** One server's part of a room that spans servers. */
export class Relay implements RoomRelay {
  /** What every name here ends with: `@` and six characters by chance. */
  readonly suffix: string;
  #id = Array.from(
    crypto.getRandomValues(new Uint8Array(6)),
    (byte) => ID_LETTERS[byte % ID_LETTERS.length],
  ).join("");
  #nats: Nats.NatsConnection;
  #jetstream: JetStream.JetStreamClient;
  #log: RelayListener;
  #room: RelayedRoom | undefined;
  #over = new AbortController();
  #connected = true;
  #reachable = true;

  /** The number of the next line, and of the first that waits in the batch. */
  #next = 0;
  #first = 0;
  #batch = new FrameBatch(parseFraming("lines"));
  #batched = 0;
  #queue: { lines: Uint8Array; first: number }[] = [];
  /** Bytes that wait in the batch and the queue, and lines that did not fit. */
  #waiting = 0;
  #lost = 0;
  #longest: number;
  #publishing: Promise<void> | undefined;
  #moved = Promise.withResolvers<void>();

  #servers = new Map<string, OtherServer>();
  #beats: ReturnType<typeof setInterval> | undefined;
  #lastBeat = performance.now();
  /** The stream that is read, and its next message. */
  #created: string;
  #unread: number;
  #messages: JetStream.ConsumerMessages | undefined;

  constructor(
    nats: Nats.NatsConnection,
    jetstream: JetStream.JetStreamClient,
    { created, state }: JetStream.StreamInfo,
    log: RelayListener,
  ) {
    this.#nats = nats;
    this.#jetstream = jetstream;
    this.#log = log;
    this.#created = created;
    this.#unread = state.last_seq + 1;
    const { max_payload } = nats.info!;
    this.#longest = Math.min(MESSAGE_LENGTH, max_payload) - HEADER_ROOM;
    this.suffix = `@${this.#id}`;
  }

  /** How many members there are elsewhere. */
  get members(): number {
    return this.#servers.values().reduce((sum, it) => sum + it.members, 0);
  }

  /** Begins. */
  open(room: RelayedRoom): void {
    this.#room = room;
    this.#log("relaying", `Names in this room end with ${this.suffix}`);
    this.#nats.subscribe("room.*.beat", {
      callback: (_error, { subject, data }) =>
        this.#hearBeat(subject.split(".")[1], data),
    });
    this.#watch();
    this.#read();
    this.#beats = setInterval(() => this.#beat(), BEAT);
    this.#beat();
  }

  /** Passes a line on; never waits. */
  say(line: Uint8Array): void {
    const length = line.length + 1;
    const isFull = !this.#reachable && this.#waiting + length > KEPT;
    const isTooLong = length > this.#longest;
    if (isTooLong) this.#log("unsent", "1 line is too long for NATS");
    if (isFull) this.#lost++;
    // A message has lines in a row: none after one that is left out.
    const isGap = isFull || isTooLong;
    if (isGap || this.#batched + length > this.#longest) this.#endBatch();
    const number = this.#next++;
    if (isGap) return;
    if (this.#batched === 0) this.#first = number;
    this.#batch.add(line);
    this.#batched += length;
    this.#waiting += length;
    this.#publishing ??= this.#publish();
  }

  /** Waits while too much is on its way, but not for a NATS that is away. */
  async caughtUp(): Promise<void> {
    while (this.#reachable && this.#waiting > KEPT) await this.#moved.promise;
  }

  /** Says farewell, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beats);
    const said = new AbortController();
    const farewell = async () => {
      await this.#publishing;
      this.#beat({ bye: true });
      await this.#nats.flush();
    };
    if (this.#reachable) {
      farewell().catch(() => {}).finally(() => said.abort());
      await pause(FAREWELL_TIMEOUT, said.signal);
    }
    this.#over.abort();
    this.#wake();
    this.#messages?.stop();
    await this.#nats.close();
  }

  #endBatch(): void {
    if (this.#batched === 0) return;
    this.#queue.push({ lines: this.#batch.take(), first: this.#first });
    this.#batched = 0;
  }

  /** Publishes what waits, one message after the other: so they keep order. */
  async #publish(): Promise<void> {
    await turn(); // What others say in the same turn goes along.
    while (!this.#over.signal.aborted) {
      if (this.#queue.length === 0) this.#endBatch();
      const [message] = this.#queue;
      if (message === undefined) break;
      await this.#store(message.first, message.lines);
      this.#queue.shift();
      this.#waiting -= message.lines.length;
      this.#wake();
    }
    this.#publishing = undefined;
  }

  /** Publishes until it is stored; the same msgID is stored only once. */
  async #store(first: number, lines: Uint8Array): Promise<void> {
    const { signal } = this.#over;
    const message = concatenate([this.#header({ first }), lines]);
    const options = { msgID: `${this.#id}.${first}`, timeout: STORE_TIMEOUT };
    for (; !signal.aborted; await pause(STORE_PAUSE, signal)) {
      if (!this.#connected) continue;
      try {
        await this.#jetstream.publish(`room.${this.#id}`, message, options);
        return this.#returned();
      } catch (error) {
        this.#away((error as Error).message);
      }
    }
  }

  #header(header: Partial<RelayHeader>): Uint8Array {
    const members = this.#room!.size;
    const json = JSON.stringify({ first: this.#next, members, ...header });
    return new TextEncoder().encode(`${json}\n`);
  }

  async #watch(): Promise<void> {
    let last: string | undefined;
    for await (const status of this.#nats.status()) {
      if (status.type === "disconnect") {
        this.#connected = false;
        this.#away("the connection is lost");
      } else if (status.type === "reconnect") {
        this.#connected = true;
        this.#messages?.stop(); // NATS may have forgotten who reads
        if (this.#waiting === 0) this.#returned();
      } else if (status.type === "error" && status.error.message !== last) {
        // Refused credentials, say: once, not with every attempt.
        last = status.error.message;
        this.#log("complaint", `NATS says: ${last}`);
      }
    }
  }

  #away(reason: string): void {
    if (!this.#reachable || this.#over.signal.aborted) return;
    this.#reachable = false;
    this.#lost = 0;
    this.#wake();
    this.#log("unreachable", `NATS is out of reach: ${reason}`);
    this.#tell("other servers are out of reach; what is said is kept for them");
  }

  #returned(): void {
    if (this.#reachable) return;
    this.#reachable = true;
    const lost = this.#lost === 0 ? "" : `, ${lines(this.#lost)} were not kept`;
    this.#log("reachable", `NATS is back${lost}`);
    this.#tell(`other servers are back${lost}`);
  }

  #tell(words: string): void {
    this.#room!.hear([`* ${words}`]);
  }

  #wake(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  /** Reads the stream on and on, from where it was. */
  async #read(): Promise<void> {
    const { signal } = this.#over;
    for (; !signal.aborted; await pause(STORE_PAUSE, signal)) {
      try {
        const { created } = await findStream(this.#jetstream);
        // A stream that was made anew is read from its beginning.
        if (created !== this.#created) this.#unread = 1;
        this.#created = created;
        const place = { opt_start_seq: this.#unread, deliver_policy: START };
        const consumers = this.#jetstream.consumers;
        const consumer = await consumers.get(ROOM_STREAM.name, place);
        this.#messages = await consumer.consume({
          max_messages: 16,
          expires: 5000,
          idle_heartbeat: 1000, // or a restart is noticed seconds later
          abort_on_missing_resource: true,
        });
        if (signal.aborted) this.#messages.stop();
        for await (const { seq, subject, data } of this.#messages) {
          await this.#hear(subject.slice("room.".length), data);
          this.#unread = seq + 1;
        }
      } catch {
        // NATS is away, or the stream is: both come back.
      }
    }
  }

  /** Tells our members what was said elsewhere; anyone may have sent it. */
  async #hear(id: string, data: Uint8Array): Promise<void> {
    const end = data.indexOf(0x0a) + 1;
    const header = readHeader(data.subarray(0, end));
    const server = header && this.#serverOf(id);
    if (!server) return;
    const said = new TextDecoder().decode(data.subarray(end)).split("\n");
    const count = said.length - 1; // After the last line's end is nothing.
    const { next = header.first } = server;
    if (header.first < next) return; // It was published twice.
    if (!server.gone) server.members = header.members;
    server.next = header.first + count;
    this.#missed(id, header.first - next);
    const name = `user\\d{1,15}@${id}`;
    const shape = new RegExp(`^(<${name}> |\\* ${name} (joined|left)$)`);
    const genuine = said.filter((line) => shape.test(line));
    const refused = await this.#room!.hear(genuine);
    this.#missed(id, count - genuine.length + refused);
  }

  #missed(id: string, count: number): void {
    if (count === 0) return;
    this.#log("missed", `missed ${lines(count)} from @${id}`);
    this.#tell(`missed ${lines(count)} from @${id}`);
  }

  /** Finds a server, or meets it. */
  #serverOf(id: string): OtherServer | undefined {
    const known = this.#servers.get(id);
    const isFull = this.#servers.size >= MOST_SERVERS;
    const isOther = ID_REGEXP.test(id) && id !== this.#id;
    if (known !== undefined || isFull || !isOther) return known;
    const met = { members: 0, seen: performance.now(), gone: false };
    this.#servers.set(id, met);
    this.#log("met", `The room is shared with the server @${id}`);
    this.#beat();
    return met;
  }

  /** Says that we are there, and finds out who is not any more. */
  #beat(header: Partial<RelayHeader> = {}): void {
    const now = performance.now();
    // A process that was stopped has heard nobody meanwhile.
    const wasAway = now - this.#lastBeat > 2 * BEAT || !this.#reachable;
    this.#lastBeat = now;
    for (const [id, server] of this.#servers) {
      if (wasAway) server.seen = now;
      if (server.gone || now - server.seen < ABSENCE) continue;
      this.#log("absent", `lost ${server.members} members at @${id}`);
      this.#tell(`lost ${server.members} members at @${id}`);
      Object.assign(server, { gone: true, members: 0 });
    }
    if (!this.#connected || this.#nats.isClosed()) return;
    this.#nats.publish(`room.${this.#id}.beat`, this.#header(header));
  }

  #hearBeat(id: string, data: Uint8Array): void {
    const header = readHeader(data);
    const server = header && this.#serverOf(id);
    if (!server) return;
    const { members, bye: gone = false } = header;
    if (gone) this.#log("parted", `The server @${id} has stopped`);
    else if (server.gone) this.#tell(`${members} members back at @${id}`);
    Object.assign(server, { gone, members, seen: performance.now() });
  }
}

/** A consumer begins at a number of the stream. */
const START = "by_start_sequence" as JetStream.DeliverPolicy;

function readHeader(json: Uint8Array): RelayHeader | undefined {
  try {
    const header = JSON.parse(new TextDecoder().decode(json)) as RelayHeader;
    const isCount = (it: number) => Number.isSafeInteger(it) && it >= 0;
    return isCount(header.first) && isCount(header.members)
      ? header
      : undefined;
  } catch {
    return undefined;
  }
}

function lines(count: number): string {
  return count === 1 ? "1 line" : `${count} lines`;
}

/** Finds the stream as it is set up, or makes it. */
async function findStream(
  jetstream: JetStream.JetStreamClient,
): Promise<JetStream.StreamInfo> {
  const { streams } = await jetstream.jetstreamManager(false);
  const find = () => streams.info(ROOM_STREAM.name);
  return await find().catch((error) => {
    if (!/stream not found/.test(error.message)) throw error;
    return streams.add(ROOM_STREAM).catch(find); // another server was first
  });
}

/** Where NATS is, and a file with credentials. */
export interface RelayPlace {
  nats: NetAddress;
  path?: string;
}

/** Reads the options of a server: `nats://HOST:PORT`, or `tls://` for TLS. */
export function readRelayOptions(
  options: { mode: string; relay?: string; relayCreds?: string },
): RelayPlace {
  const { mode, relay, relayCreds: path } = options;
  if (relay === undefined) {
    throw new SyntaxError("--relay-creds goes with --relay");
  }
  if (mode !== "room") throw new SyntaxError("--relay is for --mode room");
  const place = relay.replace(/^nats:/i, "tcp:");
  const nats = parseAddress(place, { port: 4222, transport: "udp" });
  if (nats.transport === "tcp" || nats.transport === "tls") {
    return { nats, path };
  }
  throw new SyntaxError(
    `--relay must be nats://HOST:PORT or tls://…, not ${relay}`,
  );
}

/** Connects; a connection that is lost later makes itself anew. */
export async function openRelay(
  room: RelayedRoom,
  { nats: { transport, hostname, port }, path }: RelayPlace,
  log: { info: RelayListener },
): Promise<Relay> {
  const client: typeof Nats = await load(NATS_CLIENT);
  const engine: typeof JetStream = await load(JETSTREAM_CLIENT);
  globalThis.addEventListener("error", ignoreStray);
  const place = formatAddress({ transport: "tcp", hostname, port });
  const credentials = path && new TextEncoder().encode(await readText(path));
  let nats: Nats.NatsConnection | undefined;
  try {
    nats = await client.connect({
      servers: place,
      timeout: 10_000,
      // Deno looks the name up, and asks for no more than this permission.
      resolve: false,
      // With this, a server without TLS is refused. Without the host, an IP
      // address would do with a certificate for localhost.
      tls: transport === "tls" ? { host: hostname } as object : undefined,
      authenticator: credentials
        ? client.credsAuthenticator(credentials)
        : undefined,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      ignoreAuthErrorAbort: true,
      pingInterval: 5000,
    });
    const jetstream = engine.jetstream(nats, { timeout: STORE_TIMEOUT });
    const stream = await findStream(jetstream);
    const relay = new Relay(nats, jetstream, stream, log.info.bind(log));
    relay.open(room);
    return relay;
  } catch (error) {
    await nats?.close();
    const { name, message } = error as Error;
    const words = `${name}: ${message}${path ? "" : " without a file"}`;
    const known = NATS_REASONS.find(([pattern]) => pattern.test(words));
    throw describeError(
      // That is how Deno refuses a name to the client.
      /EPERM/.test(message) ? new Deno.errors.NotCapable(message) : error,
      `relay by NATS at ${place}`,
      `--allow-net=${place}`,
      known?.[1].replace("CREDENTIALS", `${path}`),
    );
  }
}

async function load<Module>(name: string): Promise<Module> {
  try {
    return await import(name);
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    const remedy = `with a network, \`deno cache ${name}\` fetches it once`;
    throw new Error(`Cannot load the client for NATS: ${reason} (${remedy})`);
  }
}

/**
 * The client drops a socket that failed, and stops listening to it. In Deno 2.9
 * such a socket can still be reset, an error that nobody catches: the process
 * would end. Nobody else here has sockets of `node:net`.
 */
function ignoreStray(event: ErrorEvent): void {
  const { error } = event;
  const isOfNode = error instanceof Error && "syscall" in error;
  if (isOfNode && error.syscall === "read") event.preventDefault();
}

/** Why there is no connection, where the client says it in its own way. */
const NATS_REASONS: [RegExp, string][] = [
  [
    /^AuthorizationError.* without a file$/,
    "it asks for credentials; name them with --relay-creds FILE",
  ],
  [/^AuthorizationError/, "it refuses the credentials in CREDENTIALS"],
  [
    /parse credentials/,
    "CREDENTIALS holds no credentials as nsc writes them",
  ],
  [/^TimeoutError/, "it did not answer within 10s; is that NATS?"],
  [
    /unexpected response/,
    "it does not speak NATS; the port is that for clients, mostly 4222",
  ],
  [
    /no responders|not enabled/i,
    "it has no JetStream; start it with `nats-server -js`",
  ],
  [/not support 'tls'/, "it has no TLS; nats:// goes without"],
  [/certificate's altnames/, "its certificate is for another name"],
  [
    /verify the first certificate|self-signed/,
    "its certificate is signed by nobody that is trusted here; name the signer's certificate with `deno run --cert FILE`",
  ],
  [/refused/, "nobody listens there (connection refused)"],
  [/ENOTFOUND/, "the name does not resolve to an address"],
];
