/**
 * `openRelay`: rooms that span machines. What is said in a room is published to
 * a stream of NATS JetStream, and what was said in others is read from it.
 *
 *     room.k3m9qz  41 2
 *                  <user7@k3m9qz> hello
 *                  * user8@k3m9qz joined
 *
 * is a message: the number of its first line, the number of members, and lines
 * as members hear them. The next message begins with 43: below that, it was
 * stored twice; above, lines are lost. A silent server publishes no lines.
 *
 * @module
 */
import type { ConsumerMessages, JetStreamManager } from "@nats-io/jetstream";
import type { JsMsg, StreamInfo } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { formatAddress, type NetAddress, parseAddress } from "../address.ts";
import { FrameBatch } from "../framing/batch.ts";
import { parseFraming } from "../framing.ts";
import { readText } from "../tcp/certificates.ts";
import { connect } from "../tcp/connect.ts";
import { describeError } from "../tcp/errors.ts";
import { after, concatenate, pause, turn } from "../tcp/stream.ts";
import type { RelayedRoom, RoomRelay } from "./room.ts";

/** Constants: what `import()` names itself, Deno fetches without being asked. */
export const NATS_CLIENT = "npm:@nats-io/transport-node@^3.4.0";
export const JETSTREAM_CLIENT = "npm:@nats-io/jetstream@^3.4.0";

/** The stream, unless the operator has made it; its age is in nanoseconds. */
const ROOM_LIMITS = { max_bytes: 67_108_864, max_age: 600e9 };
const ROOM_STREAM = { name: "ROOM", subjects: ["room.*"], ...ROOM_LIMITS };
/** What a message holds, beside its header, and what waits for NATS at most. */
const FULL_MESSAGE = 262_144;
const HEADER_ROOM = 256;
const KEPT = 1_048_576;
/** How long NATS may take, and how long to wait then, in milliseconds. */
const NATS_TIMEOUT = 2000;
const NATS_PAUSE = 250;
/** How often a server publishes, and how long it may not, in milliseconds. */
const BEAT = 1500;
const ABSENCE = 6000;
/** Servers that are known at a time: whoever can publish can make them up. */
const MOST_SERVERS = 1000;

/** A connection, the stream as it was then, and the longest message. */
interface RelayLink {
  nats: NatsConnection;
  manager: JetStreamManager;
  stream: StreamInfo;
  longest: number;
}

/** One server's part of a room that spans servers. */
class Relay implements RoomRelay {
  #id = Math.random().toString(36).slice(2, 8).padEnd(6, "0");
  /** What every name here ends with. */
  readonly suffix = `@${this.#id}`;
  #over = new AbortController();
  #beats = setInterval(() => this.#speak(), BEAT);

  /** Lines that wait, all bytes that do, and the number of the first line. */
  #said = new FrameBatch(parseFraming("lines", { maxFrameLength: 2 ** 32 }));
  #waiting = 0;
  #next = 0;
  /** Whether NATS stores what we say, and lines that were not kept for it. */
  #reachable = true;
  #lost = 0;
  #speaking: Promise<void> | undefined;

  #servers = new Map<string, { next: number; members: number; seen: number }>();
  /** The message that is read next, and when its stream was made. */
  #unread: number;
  #created: string;
  /** When our own words were last read, by the clock of NATS. */
  #heard = 0;

  constructor(
    private room: RelayedRoom,
    private log: (event: string, message: string) => void,
    private connect: () => Promise<RelayLink>,
    private link: RelayLink,
  ) {
    this.#unread = link.stream.state.last_seq + 1; // A newcomer hears from now.
    this.#created = link.stream.created;
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
    this.#said.add(line);
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
    await this.link.nats.close();
  }

  /** Publishes what waits, or at least that we are there. */
  #speak(): void {
    this.#speaking ??= this.#publish();
  }

  /** Publishes one message after the other: so they keep their order. */
  async #publish(): Promise<void> {
    await turn(); // What others say in the same turn goes along.
    do {
      let rest = this.#said.take();
      do {
        const fits = rest.lastIndexOf(0x0a, this.link.longest - 1);
        const end = fits < 0 ? rest.indexOf(0x0a) : fits;
        await this.#store(rest.subarray(0, end + 1));
        rest = rest.subarray(end + 1);
      } while (rest.length > 0);
    } while (this.#waiting > 0);
    this.#speaking = undefined;
  }

  /** Publishes until it is stored; what has the same msgID is stored once. */
  async #store(lines: Uint8Array): Promise<void> {
    const { signal } = this.#over;
    const header = `${this.#next} ${this.room.size}\n`;
    const message = concatenate([new TextEncoder().encode(header), lines]);
    const msgID = crypto.randomUUID();
    for (; !signal.aborted; await pause(NATS_PAUSE, signal)) {
      try {
        const jetstream = this.link.manager.jetstream();
        await jetstream.publish(`room.${this.#id}`, message, { msgID });
        break;
      } catch (error) {
        const { message: reason } = error as Error;
        if (!/size exceed/.test(reason)) this.#away(reason);
        else {
          this.log("unsent", "1 line is too long for NATS");
          break;
        }
      }
    }
    this.#waiting -= lines.length;
    for (const byte of lines) if (byte === 0x0a) this.#next++;
    this.#returned();
  }

  #away(reason: string): void {
    if (!this.#reachable || this.#over.signal.aborted) return;
    this.#reachable = false;
    const kept =
      "other servers are out of reach; what is said is kept for them";
    this.#tell("unreachable", `NATS is out of reach: ${reason}`, kept);
  }

  #returned(): void {
    const isBehind = this.#lost > 0 && this.#waiting > 0;
    if (this.#reachable || isBehind || this.#over.signal.aborted) return;
    const lost = `, ${counted(this.#lost, "line")} were not kept`;
    const back = `back${this.#lost > 0 ? lost : ""}`;
    this.#reachable = true;
    this.#next += this.#lost;
    this.#lost = 0;
    this.#tell("reachable", `NATS is ${back}`, `other servers are ${back}`);
  }

  /** Tells our members, and the log. */
  async #tell(event: string, logged: string, told = logged): Promise<void> {
    this.log(event, logged);
    await this.room.hear([`* ${told}`]);
  }

  /** Reads the stream on and on; connects anew when the connection is lost. */
  async #listen(): Promise<void> {
    const { signal } = this.#over;
    let last = "";
    for (; !signal.aborted; await pause(NATS_PAUSE, signal)) {
      try {
        if (this.link.nats.isClosed()) this.link = await this.connect();
        await this.#read(this.link.manager);
        if (this.link.nats.isClosed()) this.#away("the connection is lost");
      } catch (error) {
        const { message } = error as Error;
        if (message === last || signal.aborted) continue;
        last = message;
        this.log("complaint", message);
      }
    }
    await this.link.nats.close();
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
    const limits = { max_messages: 32, expires: 5000, idle_heartbeat: 1000 };
    const messages = await consumer.consume(limits);
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
      this.log("met", `The room is shared with the server @${id}`);
      this.#speak(); // so that it meets us
      const back = `${counted(members, "member")} back at @${id}`;
      if (members > 0) await this.#tell("back", back);
    }
    await this.#missed(first - next, id);
    await this.#missed(await this.room.hear(said, `@${id}`), id);
  }

  async #missed(count: number, id: string): Promise<void> {
    const missed = `missed ${counted(count, "line")} from @${id}`;
    if (count > 0) await this.#tell("missed", missed);
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
      if (server.members > 0) await this.#tell("absent", lost);
      else this.log("parted", `The server @${id} has stopped`);
    }
  }
}

/** Ends what NATS has forgotten, so that it begins anew. */
async function stopWhenSilent(messages: ConsumerMessages): Promise<void> {
  for await (const { type } of messages.status()) {
    if (type === "heartbeats_missed") messages.stop();
  }
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

/** Finds the stream as it is set up, or makes it. */
function findStream({ streams }: JetStreamManager): Promise<StreamInfo> {
  return streams.info(ROOM_STREAM.name).catch(() => streams.add(ROOM_STREAM));
}

/** Reads the address after --relay: `nats://HOST:PORT`, or `tls://` for TLS. */
export function readRelayAddress(
  { mode, relay }: { mode: string; relay?: string },
): NetAddress {
  if (!relay) throw new SyntaxError("--relay-creds goes with --relay");
  const [, scheme, place] = /^(nats|tls):\/\/(.*)/i.exec(relay) ?? [];
  const address = place && parseAddress(place, { port: 4222 });
  if (!address || address.transport !== "tcp") {
    const wanted = "nats://HOST:PORT or tls://HOST:PORT";
    throw new SyntaxError(`--relay must be ${wanted}, not ${relay}`);
  }
  if (mode !== "room") throw new SyntaxError("--relay is for --mode room");
  return /tls/i.test(scheme) ? { ...address, transport: "tls" } : address;
}

/** Joins a room with those of other servers, by the same NATS. */
export async function openRelay(
  room: RelayedRoom,
  { transport, hostname, port }: NetAddress,
  file: string | undefined,
  log: { info(event: string, message: string): void },
): Promise<RoomRelay> {
  const load = (name: string) =>
    import(name).catch(({ message }) => {
      const failed = `Cannot load the client for NATS: ${/.*/.exec(message)}`;
      const remedy = `with a network, \`deno cache ${name}\` fetches it once`;
      throw new Error(`${failed} (${remedy})`);
    });
  const client = await load(NATS_CLIENT);
  const engine = await load(JETSTREAM_CLIENT);
  const secret = file && new TextEncoder().encode(await readText(file));
  const named = formatAddress({ transport: "tcp", hostname, port });
  let places = [named]; // and others of its cluster
  // The client stops listening to a socket that failed. In Deno 2.9 that can
  // still be reset, an error that nobody catches: the process would end.
  globalThis.addEventListener("error", (event) => {
    if (event.error?.syscall === "read") event.preventDefault();
  });

  async function connectToNats(): Promise<RelayLink> {
    let nats: NatsConnection | undefined;
    try {
      nats = await client.connect({
        servers: await Promise.any(places.map(probeNats)),
        // With this, a server without TLS is refused. Without the host, an IP
        // address would do with a certificate for localhost.
        tls: transport === "tls" ? { host: hostname } : undefined,
        authenticator: secret && client.credsAuthenticator(secret),
        timeout: NATS_TIMEOUT,
        pingInterval: NATS_TIMEOUT,
        reconnect: false,
        resolve: false, // Deno does, and asks for no more than this permission.
      }) as NatsConnection;
      const options = { checkAPI: false, timeout: NATS_TIMEOUT };
      const manager = await engine.jetstreamManager(nats, options);
      const stream = await findStream(manager);
      const { max_payload, connect_urls = [] } = nats.info!;
      places = [named, ...connect_urls];
      const limits = [FULL_MESSAGE, max_payload, stream.config.max_msg_size];
      const longest = Math.min(...limits.filter((it) => it > 0)) - HEADER_ROOM;
      return { nats, manager, stream, longest };
    } catch (error) {
      await nats?.close();
      const [first] = error instanceof AggregateError ? error.errors : [error];
      const words = `${file ? "" : "No "}${first.name}: ${first.message}`;
      const known = NATS_REASONS.find(([pattern]) => pattern.test(words));
      const why = known?.[1].replace("FILE", file ?? "FILE");
      const attempt = `relay by NATS at ${named}`;
      throw describeError(first, attempt, `--allow-net=${named}`, why);
    }
  }
  const link = await connectToNats();
  return new Relay(room, log.info.bind(log), connectToNats, link);
}

/** Finds out in time whether NATS answers; the client would leave a socket. */
async function probeNats(place: string): Promise<string> {
  using conn = await connect(parseAddress(place), { timeout: NATS_TIMEOUT });
  using _timer = after(NATS_TIMEOUT, () => conn.close());
  const greeting = new Uint8Array(5);
  await conn.read(greeting);
  if (new TextDecoder().decode(greeting) === "INFO ") return place;
  throw new Error("it does not speak NATS; is its port that for clients?");
}

/** Why there is no relay, where the client says it in its own way. */
const NATS_REASONS: [RegExp, string][] = [
  [/^No Auth/, "it asks for credentials; name them with --relay-creds FILE"],
  [/^Authorization/, "it refuses the credentials in FILE"],
  [/parse credentials/, "FILE holds no credentials as nsc writes them"],
  [/Timeout|Interrupted|BadRes/, "it did not answer in time; is that NATS?"],
  [/respond|not enabled/, "it has no JetStream; start `nats-server -js`"],
  [/not support 'tls'/, "it has no TLS; nats:// goes without"],
  [/certificate's altnames/, "its certificate is for another name"],
  [
    /first certificate|self-signed/,
    "its certificate is signed by nobody that is trusted here; name the signer's certificate with `deno run --cert FILE`",
  ],
];
