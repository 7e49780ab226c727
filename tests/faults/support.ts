/**
 * What the fault tests need: a server as a whole process, what it costs the
 * system, an honest client, and clients that are not.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { installed, Running, start, text, within } from "../support/helpers.ts";
import { readExactly, writeAll } from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

export const ANY_PORT = "127.0.0.1:0";
export const hasPython = installed("python3", "--version");
export const onLinux = has("linux");
/** Tests that use rude clients, and what the system knows of a process. */
export const RUDE = needs("linux", "terminals");

const RUDE_CLIENTS = new URL("rude_clients.py", import.meta.url).pathname;

/** Starts rude clients, a subcommand of `rude_clients.py`. */
export function rude(...args: (string | number)[]): Running {
  return rudeWith({}, ...args);
}

/** Starts rude clients with environment variables. */
export function rudeWith(
  env: Record<string, string>,
  ...args: (string | number)[]
): Running {
  return new Running("python3", [RUDE_CLIENTS, ...args.map(String)], {
    input: "open",
    env,
  });
}

/** Lets rude clients do what they do, to the end. */
export async function rudely(...args: (string | number)[]): Promise<void> {
  await using clients = rude(...args);
  const { code, stderr } = await clients.ended();
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
}

/** A server as a whole process. */
export class Server implements AsyncDisposable {
  readonly running: Running;
  readonly port: number;

  constructor(running: Running, port: number) {
    this.running = running;
    this.port = port;
  }

  get pid(): number {
    return this.running.process.pid;
  }

  /** How many file descriptors it has open. */
  async descriptors(): Promise<number> {
    const listing = await output("ls", `/proc/${this.pid}/fd`);
    return listing.split("\n").length - 1;
  }

  /** Waits until it has no more descriptors open than so many. */
  async settled(most: number): Promise<void> {
    const end = performance.now() + 20_000;
    for (;;) {
      const now = await this.descriptors();
      if (now <= most) return;
      if (performance.now() > end) {
        throw new Error(`${now} descriptors are open, not ${most}`);
      }
    }
  }

  /** The processor time that it has used, in seconds. */
  async cpu(): Promise<number> {
    const stat = await output("cat", `/proc/${this.pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticksPerSecond = 100;
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }

  /** Its resident memory, in MiB. */
  async memory(): Promise<number> {
    const status = await output("cat", `/proc/${this.pid}/status`);
    return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
  }

  /** Asserts that an honest client is served; gives how long that took, ms. */
  async serves(question = "hello\n", answer = question): Promise<number> {
    const start = performance.now();
    using conn = await within(Deno.connect({ port: this.port }));
    await writeAll(conn, question);
    assertEquals(text(await readExactly(conn, answer.length)), answer);
    return performance.now() - start;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]();
  }
}

/** Starts `tcp_server.ts` on any port. */
export async function serverWith(...args: string[]): Promise<Server> {
  const running = start("tcp_server.ts", [ANY_PORT, ...args]);
  return new Server(running, await running.port());
}

/** What a program prints. */
export async function output(
  program: string,
  ...args: string[]
): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args }).output();
  return new TextDecoder().decode(stdout);
}

/** Asserts that a server has not complained about itself, and still runs. */
export async function isWell(server: Server): Promise<void> {
  const stopped = server.running.ended();
  server.running.process.kill("SIGTERM");
  const { code, stderr } = await stopped;
  assertEquals(code, 0);
  if (/uncaught|unhandled|\n\s+at /i.test(stderr)) throw new Error(stderr);
}

/** Says a figure that a test has seen. */
export function report(what: string, ...figures: string[]): void {
  console.log(`    ${what}: ${figures.join(", ")}`);
}

/** A number with one digit after the point. */
export function short(figure: number): string {
  return figure.toFixed(1);
}
