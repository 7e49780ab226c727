/**
 * Formatting as `deno fmt` does it, by that very command.
 *
 * @module
 */

/**
 * Formats TypeScript, with the settings of a folder that has no deno.json.
 *
 * @param source What to format.
 * @returns The same, formatted.
 * @throws {Error} If Deno may not run itself, or the source does not parse.
 */
export async function format(source: string): Promise<string> {
  const process = start();
  const writer = process.stdin.getWriter();
  // If it leaves without reading to the end, its error says why.
  const written = writer.write(new TextEncoder().encode(source))
    .then(() => writer.close()).catch(() => {});
  const [{ success, stdout, stderr }] = await Promise.all([
    process.output(),
    written,
  ]);
  const decoder = new TextDecoder();
  if (!success) {
    const [reason] = decoder.decode(stderr).trim().split("\n");
    throw new Error(`deno fmt says ${reason}`);
  }
  return decoder.decode(stdout);
}

/** This very Deno; if only the one in PATH may be run, that one. */
function start(): Deno.ChildProcess {
  const options: Deno.CommandOptions = {
    args: ["fmt", "--quiet", "--no-config", "--ext=ts", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  };
  for (const program of [Deno.execPath(), "deno"]) {
    try {
      return new Deno.Command(program, options).spawn();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
    }
  }
  throw new Error("deno fmt formats it; that needs --allow-run=deno");
}
