#!/usr/bin/env -S deno run --no-prompt --allow-read --allow-write --allow-run=deno
/**
 * Writes a script and what it needs of lib as one file, which runs in a folder
 * with nothing else in it.
 *
 *     deno task eject tcp_server ../elsewhere
 *     ../elsewhere/tcp_server.ts
 *
 * @module
 */
import { log, runCommand } from "../lib/command/command.ts";
import { refuse, toggle } from "../lib/command/options.ts";
import { eject } from "../lib/eject.ts";
import { describeError } from "../lib/tcp/errors.ts";

const SCRIPTS = ["google_connect", "tcp_client", "tcp_server"]
  .concat("udp_receiver", "udp_sender");

await runCommand({
  name: "eject",
  summary: "Writes scripts as files that need nothing else.",
  positionals: "SCRIPT... DIRECTORY",
  options: { force: toggle("write over files that are there") },
  headings: { force: "The files" },
  epilogue: `
Scripts:    ${SCRIPTS.join(" ")}

Permission: deno task eject has it: --allow-read --allow-write
            --allow-run=deno (to lint and to format)
Examples:
  deno task eject tcp_server /tmp
  deno task eject --force udp_sender udp_receiver /tmp
  deno task eject --force google_connect /tmp
`,
  async run({ options: { force }, positionals }) {
    const names = positionals.slice(0, -1)
      .map((given) => given.replace(/^(\.\/)?scripts\/|\.ts$/g, ""));
    const unknown = names.find((name) => !SCRIPTS.includes(name));
    refuse({
      "it takes a script and a folder, as in tcp_server ../elsewhere":
        names.length === 0,
      [`there is no script ${unknown}; there are ${SCRIPTS.join(", ")}`]:
        unknown,
    });
    const folder = positionals.at(-1)!.replace(/(?<=.)[/\\]+$/, "");
    const { isDirectory } = await Deno.stat(folder)
      .catch(cannot(`write to ${folder}`, `--allow-read=${folder}`));
    if (!isDirectory) throw new Error(`${folder} is not a folder`);
    const originals = await Deno.realPath(new URL(".", import.meta.url));
    if (await Deno.realPath(folder) === originals) {
      throw new Error(`${folder} has the originals; name another folder`);
    }
    const copies = [];
    for (const name of new Set(names)) {
      const path = `${folder}/${name}.ts`;
      const failed = cannot(`write ${path}`, `--allow-write=${folder}`);
      const found = await Deno.lstat(path).catch(() => undefined);
      if (found?.isDirectory) throw new Error(`${path} is a folder`);
      if (found && !force) {
        throw new Error(`${path} is there already; --force writes over it`);
      }
      // What cannot be written cannot be replaced, either.
      if (found?.isFile) {
        (await Deno.open(path, { write: true }).catch(failed)).close();
      }
      const needed = "--allow-read --allow-run=deno";
      const text = await eject(new URL(`${name}.ts`, import.meta.url))
        .catch(cannot(`put ${name}.ts into one file`, needed));
      copies.push({ name, path, text, failed });
    }
    // All are written aside before one of them takes its place.
    const aside = await Deno.makeTempDir({ dir: folder })
      .catch(copies[0].failed);
    try {
      for (const { name, text, failed } of copies) {
        await Deno.writeTextFile(`${aside}/${name}`, text, { mode: 0o755 })
          .catch(failed);
      }
      for (const { name, path, text, failed } of copies) {
        await Deno.rename(`${aside}/${name}`, path).catch(failed);
        const lines = text.split("\n").length - 1;
        log.info("written", `Wrote ${path}, ${lines} lines`, { path, lines });
      }
    } finally {
      await Deno.remove(aside, { recursive: true });
    }
  },
});

/** Makes a handler that says what was tried when it failed. */
function cannot(attempt: string, permission: string) {
  return (error: Error): never => {
    throw describeError(error, attempt, permission);
  };
}
