/**
 * One script and what it needs of this library, as a single file that reads as
 * if it had been written as one.
 *
 * @module
 */
import config from "../deno.json" with { type: "json" };
import { printImports } from "./eject/imports.ts";
import { chooseNames } from "./eject/names.ts";
import { inOrder } from "./eject/order.ts";
import { headOf, printHeading, printModule } from "./eject/print.ts";
import { pathOf, readProject } from "./eject/project.ts";
import { shake } from "./eject/shake.ts";

/** Options for {@linkcode eject}. */
export interface EjectOptions {
  /**
   * Imports packages from their registry instead of inlining the stand-ins.
   *
   * @default {false}
   */
  jsr?: boolean;
}

/**
 * Writes a script as one file: what it uses of the modules that it imports,
 * with its types and comments, and without examples, which import the library.
 *
 * The modules follow one another as they would run, the script last.
 *
 * @param url Where the script is, a `file:` URL.
 * @param options Whether packages are imported.
 * @returns The text, which is still to be formatted: lines are shorter without
 * `export`, and may fit on one.
 * @throws {Deno.errors.NotCapable} If the script or its modules cannot be read.
 * @throws {Error} If there is something in it that does not fit in one file.
 */
export function eject(url: URL, options: EjectOptions = {}): string {
  const { jsr = false } = options;
  const { imports, name, version } = config;
  const project = readProject(
    url,
    (specifier) => !jsr && specifier.startsWith("@std/"),
  );
  const { script, checker } = project;
  const used = shake(project);
  const modules = inOrder(project);
  const names = chooseNames(checker, used, modules);
  const [shebang, documentation] = headOf(script);
  const parts = modules.flatMap((module) => {
    const text = printModule(module, used, names, module === script);
    return text === "" ? [] : [printHeading(module), text];
  });
  // The script's documentation is at the top, so here it is only a name.
  parts[parts.length - 2] = `// ${pathOf(script)}`;
  const origin = `// Ejected from ${pathOf(script)} of ${name} ${version}.`;
  return [
    `${shebang}\n${origin}\n${
      documentation.replaceAll(pathOf(script).replace(/[^/]*$/, ""), "")
    }`,
    printImports(used.bindings, names, imports),
    ...parts,
  ].filter((part) => part !== "").join("\n\n") + "\n";
}
