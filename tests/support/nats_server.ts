/**
 * A real nats-server on 127.0.0.1, and members of rooms that it joins.
 *
 * @module
 */
import { nkeys } from "@nats-io/transport-node";
import { pieces as chunks } from "./sockets.ts";
import { bytes, installed, Running, start, within } from "./helpers.ts";

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

  /** Starts one on a port that it chooses. */
  static async start(...args: string[]): Promise<NatsServer> {
    const server = new NatsServer(args);
    await server.restart();
    return server;
  }

  async restart(): Promise<void> {
    const args = ["-js", "-sd", this.#folder, "-a", "127.0.0.1"];
    args.push("-p", `${this.port}`, ...this.#args);
    this.#process = new Running("nats-server", args);
    const said = await this.#process.stderr("Server is ready");
    const found = /client connections on 127\.0\.0\.1:(\d+)/.exec(said)!;
    this.port = Number(found[1]);
  }

  kill(signal: Deno.Signal): void {
    this.#process!.process.kill(signal);
  }

  async end(): Promise<void> {
    await this.#process![Symbol.asyncDispose]();
  }

  /** Starts a server of ours whose room it joins with others. */
  room(scheme = "nats", args: string[] = [], permissions?: string[]): Running {
    const url = `${scheme}://127.0.0.1:${this.port}`;
    const room = ["127.0.0.1:0", "--mode", "room", "--relay", url, ...args];
    return start("tcp_server.ts", room, permissions && { permissions });
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

  /** Says so many lines, numbered on from the last; gives their numbers. */
  async say(count: number): Promise<void> {
    let lines = "";
    for (let i = 0; i < count; i++) lines += `${this.#said++} of my words\n`;
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

  /** Waits until the room has said something itself. */
  async note(words: string): Promise<void> {
    await this.until(() => this.notes.some((note) => note.includes(words)));
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
      for await (const chunk of chunks(this.conn)) {
        const text = this.#rest + decoder.decode(chunk, { stream: true });
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
  const config = `
operator: ${token(operator, operator, { type: "operator" })}
resolver: MEMORY
resolver_preload: {
  ${account.getPublicKey()}: ${token(operator, account, ACCOUNT)}
}
`;
  const stranger = nkeys.createAccount();
  return { config, user: userOf(account), stranger: userOf(stranger) };
}

const NO_LIMITS = { subs: -1, data: -1, payload: -1 };
const ACCOUNT = {
  type: "account",
  limits: { ...NO_LIMITS, imports: -1, exports: -1, conn: -1, leaf: -1 },
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
