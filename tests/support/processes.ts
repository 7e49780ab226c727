/**
 * Scripts where a plain process will not do: at a terminal, and with their
 * outputs where a shell puts them.
 *
 * @module
 */
import { Running, type RunOptions, SCRIPTS } from "./helpers.ts";

const TERMINAL = new URL("python/terminal.py", import.meta.url).pathname;
const ROOT = new URL("../../", import.meta.url);

/** What starts a script with exactly the permission of its first line. */
export function commandLine(script: string, args: string[]): string[] {
  const path = `${SCRIPTS}/${script}`;
  const [shebang] = Deno.readTextFileSync(new URL(path, ROOT)).split("\n");
  const permissions = shebang.split(" ").filter((word) =>
    word.startsWith("--allow-") || word.startsWith("--unstable-")
  );
  const deno = [Deno.execPath(), "run", "--quiet", "--no-prompt"];
  return [...deno, ...permissions, path, ...args];
}

/**
 * Starts a script at a terminal: what it shows is the standard output, and
 * what is typed comes back on it, as on any terminal.
 */
export function atTerminal(script: string, ...args: string[]): Running {
  const command = commandLine(script, args);
  return new Running("python3", [TERMINAL, ...command], { input: "open" });
}

/** Waits until a server at a terminal has said on which port it listens. */
export async function portAtTerminal(running: Running): Promise<number> {
  const said = await running.stdout(/Listening on \S*:\d+.*\n/);
  return Number(/Listening on \S*:(\d+)/.exec(said)![1]);
}

/**
 * Starts a script with its outputs redirected, as in `> /dev/full`. The shell
 * is replaced by the script: the exit code is the script's, and so is the
 * process that gets a signal.
 */
export function redirected(
  redirections: string,
  script: string,
  args: string[],
  options: RunOptions = {},
): Running {
  const line = `exec "$@" ${redirections}`;
  const command = commandLine(script, args);
  return new Running("bash", ["-c", line, "bash", ...command], options);
}
