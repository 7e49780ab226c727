/**
 * `openRelay`: rooms that span machines. What is said in a room is published to
 * a stream of NATS JetStream, and what was said in others is read from it. The
 * stream keeps order, stores, and lets a server that was away read on.
 *
 * A message has the number of its first line, how many members there are, and
 * lines as members hear them:
 *
 *     room.k3m9qz  41 2
 *                  <user7@k3m9qz> hello
 *                  * user8@k3m9qz joined
 *
 * A number below the next one: the message was stored twice. Above it: lines
 * are lost. A server with nothing to say publishes messages without lines.
 *
 * @module
 */
import type { ConsumerMessages, JetStreamManager } from "@nats-io/jetstream";
import type { JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { formatAddress, type NetAddress, parseAddress } from "../address.ts";
import { readText } from "../tcp/certificates.ts";
import { connect } from "../tcp/connect.ts";
import { describeError } from "../tcp/errors.ts";
import { after, concatenate, pause, turn } from "../tcp/stream.ts";
import type { RelayedRoom, RoomRelay } from "./room.ts";

/** Constants: what `import()` names itself, Deno fetches without being asked. */
export const NATS_CLIENT = "npm:@nats-io/transport-node@^3.4.0";
export const JETSTREAM_CLIENT = "npm:@nats-io/jetstream@^3.4.0";

/** The stream, unless the operator has made it: 64 MiB, 10 minutes in ns. */
const ROOM_STREAM = {
  name: "ROOM",
  subjects: ["room.*"],
  max_bytes: 67_108_864,
  max_age: 600e9,
};
/** The most that waits for NATS, in bytes; what is said beyond that is lost. */
const KEPT = 1_048_576;
/** The most that one message holds, and what it has besides its lines. */
const FULL_MESSAGE = 65_536;
const HEADER_ROOM = 256;
/** How long NATS may take, and how long to wait then, in milliseconds. */
const NATS_TIMEOUT = 2000;
const NATS_PAUSE = 250;
/** How often a server publishes, and how long it may not, in milliseconds. */
const BEAT = 1500;
const ABSENCE = 6000;
/** Servers that are known at a time: whoever can publish can make them up. */
const MOST_SERVERS = 1000;

/** A connection to NATS, the stream as it was, and the longest message. */
interface RelayLink {
  nats: NatsConnection;
  manager: JetStreamManager;
  created: string;
  last: number;
  most: number;
}

/** Told what becomes of a relay, in a word and in words. */
type RelayListener = (event: string, message: string) => void;

/** One server's part of a room that spans servers. */
class Relay implements RoomRelay {
  #id = Math.random().toString(36).slice(2, 8).padEnd(6, "0");
  /** What every name here ends with. */
  readonly suffix = `@${this.#id}`;
  #room: RelayedRoom;
  #log: RelayListener;
  #connect: () => Promise<RelayLink>;
  #link: RelayLink;
  #over = new AbortController();
  #beats = setInterval(() => this.#speak(), BEAT);

  /** Lines that wait, their bytes, and the number of the first. */
  #queue: Uint8Array[] = [];
  #waiting = 0;
  #next = 0;
  /** Whether NATS stores what we say, and lines that were not kept for it. */
  #reachable = true;
  #lost = 0;
  #speaking: Promise<void> | undefined;
  #messages = 0;

  #servers = new Map<string, { next: number; members: number; seen: number }>();
  /** The stream, and which of its messages is next. */
  #created: string;
  #unread: number;
  /** When our own words were last read, by the clock of NATS. */
  #heard = 0;

  constructor(
    room: RelayedRoom,
    log: RelayListener,
    connect: () => Promise<RelayLink>,
    link: RelayLink,
  ) {
    this.#room = room;
    this.#log = log;
    this.#connect = connect;
    this.#link = link;
    this.#created = link.created;
    this.#unread = link.last + 1; // A newcomer hears from now on.
    log("relaying", `Names in this room end with ${this.suffix}`);
    this.#listen();
    this.#speak();
  }

  /** How many members there are elsewhere. */
  get members(): number {
    return this.#servers.values().reduce((sum, it) => sum + it.members, 0);
  }

  /** Passes a line on; never waits. */
  say(line: Uint8Array): void {
    const length = line.length + 1;
    const isFull = !this.#reachable && this.#waiting + length > KEPT;
    // After a line that is lost, nothing is kept until all before it is said.
    if (isFull || this.#lost > 0) return void this.#lost++;
    this.#queue.push(line);
    this.#waiting += length;
    this.#speak();
  }

  /** Waits while too much is on its way, but not for a NATS that is away. */
  async caughtUp(): Promise<void> {
    while (this.#reachable && this.#waiting > KEPT) await pause(2);
  }

  /** Waits until all is said, but not for long; closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beats);
    const late = pause(NATS_TIMEOUT, this.#over.signal);
    if (this.#reachable) await Promise.race([this.#speaking, late]);
    this.#over.abort();
    await this.#link.nats.close();
  }

  /** Publishes what waits, or at least that we are there. */
  #speak(): void {
    this.#speaking ??= this.#publish();
  }

  /** Publishes one message after the other: so they keep their order. */
  async #publish(): Promise<void> {
    await turn(); // What others say in the same turn goes along.
    do {
      let [count, length] = [0, 0];
      for (const line of this.#queue) {
        if (count > 0 && length + line.length >= this.#link.most) break;
        count++;
        length += line.length + 1;
      }
      await this.#store(this.#queue.splice(0, count));
      this.#waiting -= length;
      this.#next += count;
      if (this.#queue.length === 0 || this.#lost === 0) this.#returned();
    } while (this.#queue.length > 0);
    this.#speaking = undefined;
  }

  /** Publishes until it is stored; the same msgID is stored only once. */
  async #store(lines: Uint8Array[]): Promise<void> {
    const { signal } = this.#over;
    const header = encodedText(`${this.#next} ${this.#room.size}\n`);
    const end = encodedText("\n");
    const said = concatenate([header, ...lines.flatMap((it) => [it, end])]);
    const msgID = `${this.#id}.${this.#messages++}`;
    for (; !signal.aborted; await pause(NATS_PAUSE, signal)) {
      try {
        const jetstream = this.#link.manager.jetstream();
        await jetstream.publish(`room.${this.#id}`, said, { msgID });
        return;
      } catch (error) {
        const { message } = error as Error;
        if (!/size exceed/.test(message)) this.#away(message);
        else {
          const unsent = `${counted(lines.length, "line")} too long for NATS`;
          return this.#log("unsent", unsent);
        }
      }
    }
  }

  #away(reason: string): void {
    if (!this.#reachable || this.#over.signal.aborted) return;
    this.#reachable = false;
    this.#log("unreachable", `NATS is out of reach: ${reason}`);
    this.#tell("other servers are out of reach; what is said is kept for them");
  }

  #returned(): void {
    if (this.#reachable || this.#over.signal.aborted) return;
    const lost = this.#lost === 0
      ? ""
      : `, ${counted(this.#lost, "line")} were not kept`;
    this.#reachable = true;
    this.#next += this.#lost;
    this.#lost = 0;
    this.#log("reachable", `NATS is back${lost}`);
    this.#tell(`other servers are back${lost}`);
  }

  async #tell(words: string): Promise<void> {
    await this.#room.hear([`* ${words}`]);
  }

  /** Reads the stream on and on; connects anew when the connection is lost. */
  async #listen(): Promise<void> {
    const { signal } = this.#over;
    let complaint = "";
    for (; !signal.aborted; await pause(NATS_PAUSE, signal)) {
      try {
        if (this.#link.nats.isClosed()) this.#link = await this.#connect();
        await this.#read(this.#link.manager);
        if (this.#link.nats.isClosed()) this.#away("the connection is lost");
      } catch (error) {
        const { message } = error as Error;
        const isNew = message !== complaint && !signal.aborted;
        if (isNew) this.#log("complaint", message);
        complaint = message;
      }
    }
    await this.#link.nats.close();
  }

  /** Reads from where it was, as long as it can. */
  async #read(manager: JetStreamManager): Promise<void> {
    const { created, state } = await findStream(manager);
    // A stream that is new, or has lost its end, is read from its beginning.
    const isKnown = created === this.#created;
    if (!isKnown || state.last_seq + 1 < this.#unread) this.#unread = 1;
    this.#created = created;
    const { consumers } = manager.jetstream();
    const place = { opt_start_seq: this.#unread };
    const consumer = await consumers.get(ROOM_STREAM.name, place);
    const messages = await consumer.consume({
      max_messages: 32,
      expires: 5000,
      idle_heartbeat: 1000, // or a restart is noticed seconds later
    });
    stopWhenSilent(messages);
    for await (const message of messages) {
      this.#unread = message.seq + 1;
      await this.#hear(message);
    }
    consumer.delete().catch(() => {}); // NATS would keep it for 5 minutes.
  }

  /** Tells our members what was said elsewhere; anyone may have sent it. */
  async #hear({ subject, data, time }: JsMsg): Promise<void> {
    const id = subject.slice("room.".length);
    const seen = time.getTime();
    if (id === this.#id) return await this.#findAbsent(seen);
    const said = new TextDecoder().decode(data).split("\n");
    const header = /^(\d{1,15}) (\d{1,15})$/.exec(said.shift()!);
    said.pop(); // After the end of the last line is nothing.
    const known = this.#servers.get(id);
    const isFull = !known && this.#servers.size >= MOST_SERVERS;
    if (!header || isFull || !/^[a-z0-9]{6}$/.test(id)) return;
    const [, first, members] = header.map(Number);
    const { next = first } = known ?? {};
    if (first < next) return; // It was stored twice.
    this.#servers.set(id, { next: first + said.length, members, seen });
    if (!known) {
      this.#log("met", `The room is shared with the server @${id}`);
      this.#speak(); // so that it meets us
      const back = `${counted(members, "member")} back at @${id}`;
      if (members > 0) await this.#tell(back);
    }
    await this.#missed(first - next, id);
    const name = `user\\d{1,15}@${id}`;
    const shape = new RegExp(`^(<${name}> |\\* ${name} (joined|left)$)`);
    const genuine = said.filter((line) => shape.test(line));
    const refused = await this.#room.hear(genuine);
    await this.#missed(said.length - genuine.length + refused, id);
  }

  async #missed(count: number, id: string): Promise<void> {
    if (count === 0) return;
    const missed = `missed ${counted(count, "line")} from @${id}`;
    this.#log("missed", missed);
    await this.#tell(missed);
  }

  /** Notices servers that are not heard any more, while we are. */
  async #findAbsent(now: number): Promise<void> {
    // After a pause of our own, NATS or we were away, and others perhaps too.
    const wasAway = now - this.#heard > 2 * BEAT;
    this.#heard = now;
    for (const [id, server] of this.#servers) {
      if (wasAway) server.seen = now;
      if (now - server.seen < ABSENCE) continue;
      this.#servers.delete(id);
      const lost = `lost ${counted(server.members, "member")} at @${id}`;
      this.#log("absent", lost);
      if (server.members > 0) await this.#tell(lost);
    }
  }
}

/** Ends what NATS has forgotten, so that it begins anew. */
async function stopWhenSilent(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of messages.status()) {
    if (type === "heartbeats_missed") messages.stop();
  }
}

/** Finds the stream as it is set up, or makes it. */
async function findStream({ streams }: JetStreamManager) {
  const find = () => streams.info(ROOM_STREAM.name);
  return await find().catch((error) => {
    if (!/stream not found/.test(error.message)) throw error;
    return streams.add(ROOM_STREAM).catch(find); // Another server was first.
  });
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function encodedText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Reads the address after --relay: `nats://HOST:PORT`, or `tls://` for TLS. */
export function readRelayAddress(
  { mode, relay }: { mode: string; relay?: string },
): NetAddress {
  if (!relay) throw new SyntaxError("--relay-creds goes with --relay");
  const [, scheme, place] = /^(nats|tls):\/\/(.*)/i.exec(relay) ?? [];
  const address = place && parseAddress(place, { port: 4222 });
  if (!address || address.transport !== "tcp") {
    const wanted = "--relay must be nats://HOST:PORT or tls://HOST:PORT";
    throw new SyntaxError(`${wanted}, not ${relay}`);
  }
  if (mode !== "room") throw new SyntaxError("--relay is for --mode room");
  return /tls/i.test(scheme) ? { ...address, transport: "tls" } : address;
}

/** Joins a room with those of other servers, by the same NATS. */
export async function openRelay(
  room: RelayedRoom,
  address: NetAddress,
  path: string | undefined,
  log: { info: RelayListener },
): Promise<RoomRelay> {
  const client = await loadClient(NATS_CLIENT);
  const { jetstreamManager } = await loadClient(JETSTREAM_CLIENT);
  const credentials = path && encodedText(await readText(path));
  const { transport, hostname } = address;
  let places = [formatAddress({ ...address, transport: "tcp" })];
  globalThis.addEventListener("error", ignoreStray);

  /** Connects to the first server of the cluster that answers. */
  async function connectToNats(): Promise<RelayLink> {
    let failure: unknown;
    for (const place of places) {
      let nats: NatsConnection | undefined;
      try {
        await probeNats(place);
        nats = await client.connect({
          servers: place,
          reconnect: false,
          timeout: NATS_TIMEOUT,
          pingInterval: NATS_TIMEOUT,
          // Deno looks the name up, and asks for no more than this permission.
          resolve: false,
          // With this, a server without TLS is refused. Without the host, an
          // IP address would do with a certificate for localhost.
          tls: transport === "tls" ? { host: hostname } : undefined,
          authenticator: credentials && client.credsAuthenticator(credentials),
        }) as NatsConnection;
        const options = { checkAPI: false, timeout: NATS_TIMEOUT };
        const manager = await jetstreamManager(nats, options);
        const { created, state, config } = await findStream(manager);
        const { max_payload, connect_urls = [] } = nats.info!;
        const limits = [FULL_MESSAGE, max_payload, config.max_msg_size];
        const most = Math.min(...limits.filter((it) => it > 0)) - HEADER_ROOM;
        places = [places[0], ...connect_urls];
        return { nats, manager, created, last: state.last_seq, most };
      } catch (error) {
        await nats?.close();
        const { name, message } = error as Error;
        const words = `${path ? "" : "No "}${name}: ${message}`;
        const known = NATS_REASONS.find(([pattern]) => pattern.test(words));
        const why = known?.[1].replace("CREDENTIALS", `${path}`);
        const attempt = `relay by NATS at ${place}`;
        failure ??= describeError(error, attempt, `--allow-net=${place}`, why);
      }
    }
    throw failure;
  }
  const link = await connectToNats();
  return new Relay(room, log.info.bind(log), connectToNats, link);
}

// deno-lint-ignore no-explicit-any
async function loadClient(name: string): Promise<any> {
  try {
    return await import(name);
  } catch (error) {
    const [reason] = (error as Error).message.split("\n");
    const remedy = `with a network, \`deno cache ${name}\` fetches it once`;
    throw new Error(`Cannot load the client for NATS: ${reason} (${remedy})`);
  }
}

/** Fails as sockets of Deno do, and in time; the client would leave one open. */
async function probeNats(place: string): Promise<void> {
  using conn = await connect(parseAddress(place), { timeout: 5000 });
  using _ = after(5000, () => conn.close());
  const greeting = new Uint8Array(5);
  await conn.read(greeting);
  if (new TextDecoder().decode(greeting) === "INFO ") return;
  throw new Error(
    "it does not speak NATS; the port is that for clients, mostly 4222",
  );
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

/** Why there is no relay, where the client says it in its own way. */
const NATS_REASONS: [RegExp, string][] = [
  [
    /^No AuthorizationErr/,
    "it asks for credentials; name them with --relay-creds FILE",
  ],
  [/^AuthorizationError/, "it refuses the credentials in CREDENTIALS"],
  [/parse credentials/, "CREDENTIALS holds no credentials as nsc writes them"],
  [/TimeoutError/, "it did not answer within 2s"],
  [
    /responders|not enabled/,
    "it has no JetStream; start it with `nats-server -js`",
  ],
  [/not support 'tls'/, "it has no TLS; nats:// goes without"],
  [/certificate's altnames/, "its certificate is for another name"],
  [
    /verify the first certificate|self-signed/,
    "its certificate is signed by nobody that is trusted here; name the signer's certificate with `deno run --cert FILE`",
  ],
];
