/**
 * What several tests need: scripts run as whole processes, ports, deadlines.
 *
 * @module
 */
import { concatenate } from "./bytes.ts";

export { assertSameBytes, bytes, text } from "./bytes.ts";

/** Long enough for a cluster of NATS to find a leader on a busy machine. */
export const DEADLINE = 60_000;

const ROOT = new URL("../../", import.meta.url);

/**
 * The folder of the scripts under test, from the root of the collection:
 * `-- --scripts=FOLDER` puts copies of them to the same tests.
 */
export const SCRIPTS: string = Deno.args
  .find((arg) => arg.startsWith("--scripts="))
  ?.slice("--scripts=".length) ?? "scripts";

/** Whether copies are under test; what is on request only is not in them. */
export const COPIES: boolean = SCRIPTS !== "scripts";

/** Options for {@linkcode run}. */
export interface RunOptions {
  /** Deno's permissions, those of the script's first line unless named. */
  permissions?: string[];
  /** Bytes for standard input, which ends after them; open if `"open"`. */
  input?: string | Uint8Array<ArrayBuffer> | "open";
  /** Where the process runs. */
  cwd?: string;
  /** Environment variables, besides those of the test. */
  env?: Record<string, string>;
}

/** What a process that has ended left behind. */
export interface Ended {
  code: number;
  stdout: string;
  bytes: Uint8Array<ArrayBuffer>;
  stderr: string;
}

/**
 * A running process. What it prints is collected as it comes, and it is killed
 * when the test ends, however that is.
 */
export class Running implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  readonly stdin: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #stdout = new Collected();
  #stderr = new Collected();
  #pumps: Promise<unknown>;

  constructor(command: string, args: string[], options: RunOptions = {}) {
    const { input, cwd = ROOT, env } = options;
    this.process = new Deno.Command(command, {
      args,
      cwd,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#pumps = Promise.all([
      this.#stdout.collect(this.process.stdout),
      this.#stderr.collect(this.process.stderr),
    ]);
    if (input === undefined) return;
    this.stdin = this.process.stdin.getWriter();
    if (input === "open") return;
    const bytes = typeof input === "string"
      ? new TextEncoder().encode(input)
      : input;
    // A process that stops reading its input is not at fault.
    this.stdin.write(bytes).then(() => this.stdin!.close()).catch(() => {});
  }

  /** Writes to standard input. */
  async type(text: string): Promise<void> {
    await this.stdin!.write(new TextEncoder().encode(text));
  }

  /** Waits until standard output holds a text; gives all of it. */
  stdout(expected: string | Pick<RegExp, "test">): Promise<string> {
    return this.#stdout.waitFor(expected, () => this.#describe());
  }

  /** Waits until standard error holds a text; gives all of it. */
  stderr(expected: string | RegExp): Promise<string> {
    return this.#stderr.waitFor(expected, () => this.#describe());
  }

  /** Waits until the process has said on which port it listens. */
  async port(): Promise<number> {
    const said = await this.stderr(/Listening on \S*:(\d+)/);
    return Number(/Listening on \S*:(\d+)/.exec(said)![1]);
  }

  /** Waits for the end of the process. */
  async ended(): Promise<Ended> {
    const { code } = await within(this.process.status, () => this.#describe());
    await this.#pumps;
    await this.stdin?.close().catch(() => {});
    return {
      code,
      stdout: this.#stdout.text,
      bytes: this.#stdout.bytes,
      stderr: this.#stderr.text,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.process.status;
    await this.#pumps;
    await this.stdin?.close().catch(() => {});
  }

  #describe(): string {
    return `stdout: ${this.#stdout.text}\nstderr: ${this.#stderr.text}`;
  }
}

class Collected {
  text = "";
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #ended = false;
  #changed = Promise.withResolvers<void>();

  get bytes(): Uint8Array<ArrayBuffer> {
    return concatenate(this.#pieces);
  }

  async collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      // A copy: the stream's own buffer has 64 KiB for a line of a log.
      this.#pieces.push(chunk.slice());
      this.text += decoder.decode(chunk, { stream: true });
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  async waitFor(
    expected: string | Pick<RegExp, "test">,
    describe: () => string,
  ) {
    const found = () =>
      typeof expected === "string"
        ? this.text.includes(expected)
        : expected.test(this.text);
    const end = performance.now() + 2 * DEADLINE;
    while (!found()) {
      if (this.#ended) {
        throw new Error(`The process ended without ${expected}\n${describe()}`);
      }
      // There may be no end of other words.
      if (performance.now() > end) {
        throw new Error(
          `Not a word of ${expected}\n${describe().slice(-5000)}`,
        );
      }
      await within(this.#changed.promise, describe);
    }
    return this.text;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Waits for a promise, but not for ever. */
export async function within<T>(
  promise: Promise<T>,
  describe: () => string = () => "",
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`Nothing in ${DEADLINE} ms\n${describe()}`)),
    DEADLINE,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The permission flags in a script's first line. */
function permissionsOf(script: string): string[] {
  const source = Deno.readTextFileSync(new URL(`${SCRIPTS}/${script}`, ROOT));
  const [shebang] = source.split("\n");
  return shebang.split(" ").filter((word) =>
    word.startsWith("--allow-") || word.startsWith("--unstable-")
  );
}

/** Starts a script of the collection with exactly its documented permission. */
export function start(
  script: string,
  args: string[] = [],
  options: RunOptions = {},
): Running {
  const permissions = options.permissions ?? permissionsOf(script);
  return new Running(Deno.execPath(), [
    "run",
    "--quiet",
    "--no-prompt",
    ...permissions,
    `${SCRIPTS}/${script}`,
    ...args,
  ], options);
}

/** Starts `tcp_server.ts` on any port, and gives the port. */
export async function serverWith(
  args: string[],
  options?: RunOptions,
): Promise<[Running, number]> {
  const running = start("tcp_server.ts", ["127.0.0.1:0", ...args], options);
  return [running, await running.port()];
}

/** Runs a script of the collection to its end. */
export async function run(
  script: string,
  args: string[] = [],
  options: RunOptions = {},
): Promise<Ended> {
  await using running = start(script, args, options);
  return await running.ended();
}

/** Whether a program can be run here; tests for it are skipped where not. */
export function installed(program: string, ...args: string[]): boolean {
  try {
    new Deno.Command(program, { args, stdout: "null", stderr: "null" })
      .outputSync();
    return true;
  } catch {
    return false;
  }
}

/** A port of 127.0.0.1 on which nobody listens. */
export function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Reads a connection to its end. */
export async function readAll(
  conn: { read(buffer: Uint8Array): Promise<number | null> },
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const length = await conn.read(buffer);
    if (length === null) return concatenate(pieces);
    pieces.push(buffer.slice(0, length));
  }
}
