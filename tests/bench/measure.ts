/**
 * What the end-to-end benchmark does to programs, and asks the system about
 * them.
 *
 * @module
 */

/** A program and its arguments. */
export type CommandLine = readonly string[];

/** Runs a program to its end. Gives what it printed, and how long it took. */
export async function finish(
  [program, ...args]: CommandLine,
): Promise<{ printed: string; seconds: number }> {
  const start = performance.now();
  const command = new Deno.Command(program, { args, stdin: "null" });
  const { success, stdout, stderr } = await command.output();
  const seconds = (performance.now() - start) / 1000;
  const [printed, complaint] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${complaint}`);
  return { printed: printed + complaint, seconds };
}

/** Runs a program that prints a number. */
export async function figure(command: CommandLine): Promise<number> {
  return Number((await finish(command)).printed);
}

/** A program in the background; it is ended when it goes out of scope. */
export class Background implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor([program, ...args]: CommandLine) {
    this.#child = new Deno.Command(program, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  }

  /** Its resident memory, in bytes. */
  async memory(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.#child.pid}/status`);
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
  }

  /** The processor time that all its threads have used, in microseconds. */
  async processorTime(): Promise<number> {
    const folder = `/proc/${this.#child.pid}/task`;
    let nanoseconds = 0;
    for await (const { name } of Deno.readDir(folder)) {
      const stat = await Deno.readTextFile(`${folder}/${name}/schedstat`);
      nanoseconds += parseInt(stat);
    }
    return nanoseconds / 1000;
  }

  /** Waits until it has printed a line, and gives it. */
  async line(): Promise<string> {
    let printed = "";
    const decoder = new TextDecoder();
    const reader = this.#child.stdout.getReader();
    while (!printed.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error("It ended before it printed a line");
      printed += decoder.decode(value, { stream: true });
    }
    reader.releaseLock();
    return printed.trim();
  }

  /** Waits until it ends by itself, and gives what it printed. */
  async end(): Promise<string> {
    const printed = await new Response(this.#child.stdout).text();
    await this.#child.status;
    return printed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.stdin.close().catch(() => {});
    if (!this.#child.stdout.locked) await this.#child.stdout.cancel();
    await this.#child.status;
  }
}

/** A port that is free now; a program that prints none must be told one. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a server and waits until it accepts. */
export async function serving(
  command: CommandLine,
  port: number,
): Promise<Background> {
  const server = new Background(command);
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      (await Deno.connect({ port })).close();
      return server;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`${command.join(" ")} does not accept`);
}
