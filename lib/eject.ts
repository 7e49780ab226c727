/**
 * One script and what it needs of this library, as a single file that reads as
 * if it had been written as one.
 *
 * @module
 */
import type ts from "typescript";
import config from "../deno.json" with { type: "json" };
import { format } from "./eject/format.ts";
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
 * @returns The text, formatted.
 * @throws {Deno.errors.NotCapable} If the modules cannot be read.
 * @throws {SyntaxError} If one of them does not parse.
 * @throws {Error} If something in them does not fit in one file, or `deno fmt`
 * cannot be run.
 */
export async function eject(
  url: URL,
  options: EjectOptions = {},
): Promise<string> {
  const { jsr = false } = options;
  const project = readProject(
    url,
    (specifier) => !jsr && specifier.startsWith("@std/"),
  );
  const { script, checker } = project;
  const used = shake(project);
  const modules = inOrder(project);
  const names = chooseNames(checker, used, modules);
  const parts = [
    printHead(script),
    printImports(used.bindings, names, config.imports),
  ];
  for (const module of modules) {
    const text = withoutFolder(
      printModule(module, used, names, module === script),
    );
    // The script's documentation is at the top already.
    const heading = module === script
      ? `// ${pathOf(module)}`
      : printHeading(module);
    if (text !== "") parts.push(heading, text);
  }
  return await format(parts.join("\n\n"));
}

/** The first line, where the rest is from, and what the script is for. */
function printHead(script: ts.SourceFile): string {
  const [shebang, documentation] = headOf(script);
  const path = pathOf(script);
  const origin =
    `// Ejected from ${path} of ${config.name} ${config.version}; lib is in here.`;
  return [shebang, origin, withoutFolder(documentation)]
    .filter((line) => line !== "").join("\n");
}

/** It shows command lines; this copy and its peer are in no such folder. */
function withoutFolder(text: string): string {
  return text.replaceAll(/\bscripts\/(?=\w+\.ts\b)/g, "");
}
