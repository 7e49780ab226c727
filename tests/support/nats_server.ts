/**
 * A real nats-server on 127.0.0.1, and members of rooms that it joins.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { connect, type NatsConnection, nkeys } from "@nats-io/transport-node";
import {
  bytes,
  closedPort,
  installed,
  Running,
  start,
  within,
} from "./helpers.ts";

/** Whether there is no nats-server here. */
export const MISSING: boolean = !installed("nats-server", "--version");

/** A nats-server; its port stays the same when it is started again. */
export class NatsServer implements AsyncDisposable {
  port = -1;
  #args: string[];
  #folder = Deno.makeTempDirSync({ prefix: "nats_" });
  #process: Running | undefined;

  private constructor(args: string[]) {
    this.#args = args;
  }

  /** Starts one on a port that it chooses, with JetStream. */
  static start(...args: string[]): Promise<NatsServer> {
    return NatsServer.startPlain("-js", ...args);
  }

  /** Starts one without JetStream, unless the arguments ask for it. */
  static async startPlain(...args: string[]): Promise<NatsServer> {
    const server = new NatsServer(args);
    await server.restart();
    return server;
  }

  /** Starts three that are one: by their names, n0 to n2. */
  static async startCluster(): Promise<NatsServer[]> {
    const names = ["n0", "n1", "n2"];
    const ports = names.map(closedPort);
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
    return await Promise.all(names.map((name, i) => {
      const cluster = ["--cluster", routes[i], "--cluster_name", "test"];
      const others = ["--routes", routes.join(",")];
      return NatsServer.start("--name", name, ...cluster, ...others);
    }));
  }

  async restart(): Promise<void> {
    const args = ["-sd", this.#folder, "-a", "127.0.0.1"];
    args.push("-p", `${this.port}`, ...this.#args);
    this.#process = new Running("nats-server", args);
    const said = await this.#process.stderr("Server is ready");
    const found = /client connections on 127\.0\.0\.1:(\d+)/.exec(said)!;
    this.port = Number(found[1]);
  }

  kill(signal: Deno.Signal): void {
    this.#process!.process.kill(signal);
  }

  /** Kills it, with SIGKILL. */
  async end(): Promise<void> {
    await this.#process![Symbol.asyncDispose]();
  }

  /** Loses all that it has stored. */
  async forget(): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
    await Deno.mkdir(this.#folder);
  }

  /** Starts a server of ours whose room it joins with others. */
  room(scheme = "nats", args: string[] = [], permissions?: string[]): Running {
    const url = `${scheme}://127.0.0.1:${this.port}`;
    const room = ["127.0.0.1:0", "--mode", "room", "--relay", url, ...args];
    return start("tcp_server.ts", room, permissions && { permissions });
  }

  /** Does what another client of this server could do. */
  async as<T>(act: (nats: NatsConnection) => Promise<T>): Promise<T> {
    const nats = await connect({ servers: `127.0.0.1:${this.port}` });
    try {
      return await act(nats);
    } finally {
      await nats.close();
    }
  }

  /** Makes the stream as an operator would. */
  async makeStream(limits: Partial<StreamConfig>): Promise<StreamInfo> {
    const config = { name: "ROOM", subjects: ["room.*"], ...limits };
    return await this.as(async (nats) => {
      const manager = await jetstreamManager(nats, { checkAPI: false });
      // A cluster needs a while until it has a leader.
      for (let attempt = 0;; attempt++) {
        try {
          return await manager.streams.add(config);
        } catch (error) {
          if (attempt === 50) throw error;
          await new Promise((resolve) => setTimeout(resolve, 200));
        }
      }
    });
  }

  /** What NATS says about the stream. */
  async stream(): Promise<StreamInfo> {
    return await this.as(async (nats) => {
      const manager = await jetstreamManager(nats, { checkAPI: false });
      return await manager.streams.info("ROOM");
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A member of a room, who keeps account of what it hears. */
export class Member implements Disposable {
  readonly conn: Deno.TcpConn;
  /** What the room calls it. */
  name = "";
  /** Lines heard, by who said them; each is to be the next of its speaker. */
  readonly heard = new Map<string, number>();
  /** Lines of all speakers. */
  total = 0;
  /** What the room has said itself. */
  readonly notes: string[] = [];
  /** The last that came, as it came. */
  raw = "";
  /** Lines that did not come, as the room says. */
  missed = 0;
  #said = 0;
  #rest = "";
  #changed = Promise.withResolvers<void>();
  readonly #read: Promise<void>;

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
    this.#read = this.#listen();
  }

  /** Joins the room on a port. */
  static async join(port: number): Promise<Member> {
    const member = new Member(await Deno.connect({ port }));
    await member.until(() => member.name !== "");
    return member;
  }

  /** Says so many lines, numbered on from the last. */
  async say(count: number, words = "of my words"): Promise<void> {
    let lines = "";
    for (let i = 0; i < count; i++) lines += `${this.#said++} ${words}\n`;
    await this.write(lines);
  }

  async write(text: string): Promise<void> {
    const all = bytes(text);
    for (let sent = 0; sent < all.length;) {
      sent += await this.conn.write(all.subarray(sent));
    }
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await within(
        this.#changed.promise,
        () =>
          `${this.name} heard ${this.total}, ${
            this.notes.slice(-9).join("\n")
          }`,
      );
    }
  }

  /** Waits until the room has said something itself, so often. */
  async note(words: string, times = 1): Promise<void> {
    await this.until(() => this.noted(words) >= times);
  }

  /** How often the room has said something itself. */
  noted(words: string): number {
    return this.notes.filter((note) => note.includes(words)).length;
  }

  /** The end of what it hears. */
  async end(): Promise<void> {
    await within(this.#read);
  }

  [Symbol.dispose](): void {
    this.conn[Symbol.dispose]();
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const chunk of this.conn.readable) {
        const came = decoder.decode(chunk, { stream: true });
        this.raw = (this.raw + came).slice(-10_000);
        const text = this.#rest + came;
        const lines = text.split("\n");
        this.#rest = lines.pop()!;
        for (const line of lines) this.#hear(line);
        this.#changed.resolve();
        this.#changed = Promise.withResolvers();
      }
    } catch {
      // It has left.
    }
  }

  #hear(line: string): void {
    if (line.startsWith("* ")) {
      this.notes.push(line.slice(2));
      const [, name] = /^\* you are (\S+),/.exec(line) ?? [];
      this.name ||= name ?? "";
      const [, missed] = /^\* missed (\d+) lines? from/.exec(line) ?? [];
      this.missed += Number(missed ?? 0);
      return;
    }
    const end = line.indexOf("> ");
    const speaker = line.slice(1, end);
    const number = parseInt(line.slice(end + 2));
    const next = this.heard.get(speaker) ?? 0;
    // After a gap the numbers go on, but never back: no line comes twice.
    if (this.missed === 0 ? number !== next : number < next) {
      this.notes.push(`OUT OF ORDER after ${next - 1}: ${line}`);
    }
    this.heard.set(speaker, number + 1);
    this.total++;
  }
}

/** Lets members into the room of each server, one server after the other. */
export async function gather(
  servers: Running[],
  count: number,
  stack: AsyncDisposableStack,
): Promise<Member[][]> {
  // Each knows all others.
  const known = `(shared with the server[^]*){${servers.length - 1}}`;
  for (const server of servers) await server.stderr(new RegExp(known));
  const rooms: Member[][] = [];
  for (const server of servers) {
    const port = await server.port();
    const members: Member[] = [];
    for (let i = 0; i < count; i++) {
      members.push(stack.use(await Member.join(port)));
    }
    // Whoever was there before has been told of all of them.
    for (const before of rooms.flat()) {
      for (const { name } of members) await before.note(`${name} joined`);
    }
    rooms.push(members);
  }
  return rooms;
}

/** Waits until each has heard all that the others said, and nothing twice. */
export async function assertHeard(
  members: Member[],
  speakers: Member[],
  each: number,
): Promise<void> {
  for (const member of members) {
    const others = speakers.filter((speaker) => speaker !== member);
    const all = others.length * each;
    await member.until(() => member.total + member.missed >= all);
    const heard = others.map(({ name }) => member.heard.get(name) ?? 0);
    assertEquals(new Set(heard), new Set([each]), `what ${member.name} heard`);
    assertEquals(member.total, all);
    assertEquals(member.notes.filter((note) => /OUT|miss/.test(note)), []);
    assert(!member.heard.has(member.name), "it heard itself");
  }
}

/** Kills NATS so often while two rooms talk; nothing is lost, or told twice. */
export async function surviveKills(kills: number): Promise<void> {
  await using nats = await NatsServer.start();
  await using stack = new AsyncDisposableStack();
  const servers = [stack.use(nats.room()), stack.use(nats.room())];
  const rooms = await gather(servers, 50, stack);
  const all = rooms.flat();
  const speakers = rooms.flatMap((room) => room.slice(0, 10));
  const [watcher, distant] = [rooms[0][49], rooms[1][49]];
  const sayAll = (count: number) =>
    Promise.all(speakers.map((member) => member.say(count)));
  for (let kill = 1; kill <= kills; kill++) {
    const heard = distant.total;
    const before = sayAll(200);
    // In the middle: some of it has been heard elsewhere, some has not.
    await distant.until(() => distant.total > heard + 100 * kill);
    await nats.end();
    for (const member of [watcher, distant]) {
      await member.note("other servers are out of reach", kill);
    }
    await before;
    await sayAll(50);
    await nats.restart();
    const begin = performance.now();
    for (const member of [watcher, distant]) {
      await member.note("other servers are back", kill);
    }
    const seconds = (performance.now() - begin) / 1000;
    assert(seconds < 5, `${seconds} s until it was back`);
  }
  await assertHeard(all, speakers, 250 * kills);
  for (const member of all) {
    for (const words of ["out of reach", "servers are back"]) {
      assertEquals(member.noted(words), kills);
    }
  }
  for (const server of servers) {
    const said = await server.stderr("NATS is back");
    assertEquals(said.match(/NATS is out of reach/g)?.length, kills);
    assertEquals(said.match(/NATS is back\n/g)?.length, kills);
  }
}

/** Credentials of a new user, and the options of a nats-server that asks for them. */
export interface Credentials {
  /** What the user has. */
  user: string;
  /** Those of somebody whom the server does not know. */
  stranger: string;
  /** The server's configuration. */
  config: string;
}

/** Makes what `nsc` would make. */
export function makeCredentials(): Credentials {
  const operator = nkeys.createOperator();
  const account = nkeys.createAccount();
  const system = nkeys.createAccount();
  const config = `
operator: ${token(operator, operator, { type: "operator" })}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${account.getPublicKey()}: ${token(operator, account, ACCOUNT)}
  ${system.getPublicKey()}: ${token(operator, system, { type: "account" })}
}
`;
  const stranger = nkeys.createAccount();
  return { config, user: userOf(account), stranger: userOf(stranger) };
}

const NO_LIMITS = { subs: -1, data: -1, payload: -1 };
const JETSTREAM = {
  mem_storage: -1,
  disk_storage: -1,
  streams: -1,
  consumer: -1,
};
const CONNECTIONS = { imports: -1, exports: -1, conn: -1, leaf: -1 };
const ACCOUNT = {
  type: "account",
  limits: { ...NO_LIMITS, ...CONNECTIONS, ...JETSTREAM },
};

function userOf(account: nkeys.KeyPair): string {
  const user = nkeys.createUser();
  const jwt = token(account, user, { type: "user", ...NO_LIMITS });
  const seed = new TextDecoder().decode(user.getSeed());
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
}

/** A JWT of NATS: who signs it says what somebody is. */
function token(
  issuer: nkeys.KeyPair,
  subject: nkeys.KeyPair,
  claims: Record<string, unknown>,
): string {
  const header = { typ: "JWT", alg: "ed25519-nkey" };
  const body = {
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: "test",
    nats: { ...claims, version: 2 },
  };
  const url = { alphabet: "base64url", omitPadding: true } as const;
  const signed = [header, body]
    .map((part) => bytes(JSON.stringify(part)).toBase64(url)).join(".");
  return `${signed}.${
    new Uint8Array(issuer.sign(bytes(signed))).toBase64(url)
  }`;
}
