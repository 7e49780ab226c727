#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write --allow-run=deno --allow-env=TSC_*,NODE_*,VSCODE_*
/**
 * Writes one script, with what it needs of lib, as a single file that runs in
 * a folder with nothing else in it.
 *
 *     deno task eject tcp_server ../elsewhere
 *     ../elsewhere/tcp_server.ts
 *
 * It reads this collection and writes the files; it runs `deno fmt`, and
 * TypeScript's parser asks for some environment variables as it is loaded.
 *
 * @module
 */
import { nearest } from "../lib/arguments.ts";
import * as cli from "../lib/cli.ts";
import { toggle } from "../lib/cli.ts";

/** The scripts of the collection, this one aside. */
const SCRIPTS = ["google_connect", "tcp_client", "tcp_server"]
  .concat("udp_receiver", "udp_sender");

const OPTIONS = {
  jsr: toggle("import @std from jsr.io, not stand-ins in the file"),
  force: toggle("write over files that are there"),
};

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "eject",
  summary: "Writes scripts as files that need nothing else.",
  positionals: "SCRIPT... DIRECTORY",
  most: Infinity,
  options: OPTIONS,
  sockets: false,
  headings: { jsr: "The files" },
  epilogue: `
Scripts:    ${SCRIPTS.join(" ")}

Permission: deno task eject has it: --allow-read --allow-write
            --allow-run=deno (to format) --allow-env=TSC_*,NODE_*,VSCODE_*
Examples:
  deno task eject tcp_server /tmp
  deno task eject --force udp_sender udp_receiver /tmp
  deno task eject --force --jsr google_connect /tmp
`,
  async run({ options: { jsr, force }, positionals, log }) {
    const directory = positionals.at(-1);
    const names = new Set(positionals.slice(0, -1).map(scriptName));
    if (directory === undefined || names.size === 0) {
      throw new cli.UsageError(
        "it takes a script and a folder, as in tcp_server ../elsewhere",
      );
    }
    await checkFolder(directory);
    const files = [...names].map((name) => ({
      name,
      path: `${directory.replace(/(?<=.)[/\\]+$/, "")}/${name}.ts`,
    }));
    // Before the first is written: all of them, or none.
    if (!force) { for (const { path } of files) await checkFree(path); }
    const { eject } = await parser();
    for (const { name, path } of files) {
      const url = new URL(`${name}.ts`, import.meta.url);
      const source = await attempt(
        `put ${name}.ts into one file`,
        "--allow-read",
        () => eject(url, { jsr }),
      );
      await attempt(
        `write ${path}`,
        `--allow-write=${path}`,
        () => Deno.writeTextFile(path, source, { mode: 0o755 }),
      );
      const lines = source.split("\n").length - 1;
      log.info("written", `Wrote ${path}, ${lines} lines`, { path, lines });
    }
  },
};

/** `tcp_server.ts` and `scripts/tcp_server.ts` are taken, too. */
function scriptName(given: string): string {
  const name = given.replace(/^(\.\/)?scripts\//, "").replace(/\.ts$/, "");
  if (SCRIPTS.includes(name)) return name;
  const all = SCRIPTS.join(", ");
  const guess = nearest(name, SCRIPTS);
  throw new cli.UsageError(
    `there is no script ${given}; did you mean ${guess}? There are ${all}`,
  );
}

async function checkFolder(directory: string): Promise<void> {
  const where = await attempt(
    `write to ${directory}`,
    `--allow-read=${directory}`,
    () => Deno.stat(directory),
  );
  if (!where.isDirectory) throw new Error(`${directory} is not a folder`);
}

async function checkFree(path: string): Promise<void> {
  const found = await Deno.lstat(path).catch(() => undefined);
  if (found === undefined) return;
  throw new Error(`${path} is there already; --force writes over it`);
}

/** Only now: it takes half a second, and a permission more. */
function parser() {
  return attempt(
    "load TypeScript's parser",
    "--allow-env=TSC_*,NODE_*,VSCODE_*",
    () => import("../lib/eject.ts"),
  );
}

/** Does a part of the work; what keeps it from that becomes one line. */
async function attempt<T>(
  what: string,
  permission: string,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = error instanceof Deno.errors.NotCapable
      ? `Deno was not allowed to; it needs ${permission}`
      : error instanceof Deno.errors.NotFound
      ? "there is no such folder"
      : error instanceof Deno.errors.PermissionDenied
      ? "the system does not permit it"
      : (error as Error).message;
    throw new Error(`Cannot ${what}: ${reason}`, { cause: error });
  }
}

if (import.meta.main) {
  Deno.exitCode = await cli.runCommand(command, Deno.args);
}
