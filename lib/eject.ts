// `eject()`: a script and the modules that it imports, as one text.
//
// There is no parser here: a few patterns know what our own formatted code
// looks like. A test checks what they rely on: every top-level name exists once,
// and nothing is imported under another name or as a namespace.
import config from "../deno.json" with { type: "json" };

/** `// On request:` and the lines after it, up to a blank or an outer one. */
const ON_REQUEST = /^( *)\/\/ On request:.*\n(?:\1.*\S.*\n)*/gm;
/** The name of an option, where it is made. */
const OPTION = /\w+(?=: (?:\{$|(?:option|toggle|list)\())/gm;
/** In the examples: copies need no such folder. */
const SCRIPTS_FOLDER = /\bscripts\/(?=\w+\.ts\b)/g;
/** The first line of a script, and what the head of a module says. */
const MODULE_HEAD = /^(?:#!.*\n)?(?:\/\*\*[^]*?@module\n \*\/\n|(?:\/\/.*\n)*)/;
/** `import { a } from "b";` and `const { a } = await import("./b.ts");` */
const NAMED_IMPORT =
  /^ *(?:import|export|const) (type )?\{([^}:]*)\} (?:from|= await import\((?=\s*"\.))\s*"([^"]+)",?\s*\)?;\n/gm;
/** A declaration with its comments, up to the next line in column 0. */
const DECLARATION =
  /^(?:\/.*\n(?: \*.*\n)*)*(?:async |abstract )*(?:function\*?|class|interface|type|const|let) (\w+).*\n(?:(?:[ )}\]].*)?\n)*/gm;
const DOCUMENTATION = /^( *)\/\*\*[^]*?\*\/\n/gm;
const COMMENT_LINE = /^ *(?:\/[/*]|\*).*\n/gm;

/** Puts a script and what it imports into one text. */
export async function eject(script: URL): Promise<string> {
  const modules = new Map<string, { head: string; text: string }>();
  /** Imports from modules that are not ours, `node:readline` for one; by name. */
  const imports = new Map<string, string>();
  const leftOut = new Set<string>();

  /** Takes in a module, after all that it imports. */
  async function take(url: string): Promise<void> {
    const name = url.replace(/.*\/(?=(lib|scripts)\/)/, "");
    if (modules.has(name)) return;
    const file = (await Deno.readTextFile(new URL(url)))
      .replaceAll("\r\n", "\n");
    const onRequest = file.match(ON_REQUEST)?.join("") ?? "";
    for (const name of onRequest.match(OPTION) ?? []) {
      leftOut.add(`--${name.replace(/[A-Z]/g, "-$&").toLowerCase()}`);
    }
    const source = file.replace(ON_REQUEST, "").replace(SCRIPTS_FOLDER, "");
    const [head] = MODULE_HEAD.exec(source)!;
    for (const [, type = "", list, from] of source.matchAll(NAMED_IMPORT)) {
      const isPath = from.startsWith(".");
      const { href } = new URL(isPath ? from : import.meta.resolve(from), url);
      const isOurs = href.startsWith("file:");
      if (isOurs) await take(href);
      for (const words of isOurs ? [] : list.match(/\w[^,]*\b/g) ?? []) {
        const line = `import ${type}{ ${words} } from "${href}";\n`;
        imports.set(words.split(" ").at(-1)!, line);
      }
    }
    const text = source.slice(head.length).replace(NAMED_IMPORT, "");
    modules.set(name, { head, text: shorten(text) });
  }

  await take(script.href);
  // Once unused functions are gone, what only they used is unused too.
  let [before, code] = ["", ""];
  do {
    before = code;
    const unused = await unusedIn(code);
    const keep = (all: string, name: string) => unused.has(name) ? "" : all;
    for (const name of unused) imports.delete(name);
    for (const module of modules.values()) {
      module.text = module.text.replace(DECLARATION, keep).trim() + "\n";
    }
    const texts = modules.values().map(({ text }) => text);
    code = [...imports.values(), ...texts].join("");
  } while (code !== before);
  const used = [...modules].filter(([, { text }]) => text !== "\n");
  const parts = used.map(([name, { text }]) =>
    `\n${`// ${name} `.padEnd(80, "-")}\n${text}`
  );
  const body = [...imports.values(), ...parts].join("");
  const lines = (await deno(body, "fmt", "--quiet")).split("\n");
  const [name, { head }] = used.at(-1)!;
  const top = `${head}\
// SPDX-License-Identifier: ${config.license}
// Copyright (c) 2026 the socket scripts authors
//
// Ejected from ${name} of ${config.name} ${config.version}.
${leftOut.size > 0 ? `// Not in it: ${[...leftOut].join(" ")}.\n` : ""}\
// What is below, and on which line it begins:
//`.split("\n");
  const contents = used.map(([name, { head }]) => {
    const start = lines.findIndex((line) => line.startsWith(`// ${name} -`));
    // Above are its head, this table and an empty line; the first line is 1.
    const line = `${top.length + used.length + 1 + start + 1}`.padStart(5);
    return `// ${line} ${name}: ${firstSentence(head)}`
      .trimEnd().replace(/^(?=.{81})(.{1,78}) .*/, "$1 …");
  });
  return [...top, ...contents, "", ...lines].join("\n");
}

/** The names that are declared and not used. */
async function unusedIn(code: string): Promise<Set<string>> {
  const lint = ["lint", "--json", "--rules-tags="];
  const found = await deno(code, ...lint, "--rules-include=no-unused-vars");
  const names: string[] = JSON.parse(found).diagnostics
    .map(({ message }: { message: string }) => message.split("`")[1]);
  // The linter skips types.
  const bare = code.replace(COMMENT_LINE, "");
  const types = bare.matchAll(/^(?:interface|type) (\w+)/gm)
    .map(([, name]) => name)
    .filter((name) => bare.split(RegExp(`\\b${name}\\b`)).length === 2);
  return new Set([...names, ...types]);
}

/** Takes out `export`, and of documentation all but the first sentence. */
function shorten(text: string): string {
  return text.replace(/^export /gm, "")
    .replace(DOCUMENTATION, (comment, indent) => {
      const sentence = firstSentence(comment);
      const line = `${indent}/** ${sentence} */\n`;
      if (line.length <= 81) return line;
      const width = new RegExp(`(.{1,${77 - indent.length}})(?: |$)`, "g");
      return sentence.replace(width, `${indent}// $1\n`);
    });
}

/** The first sentence of a comment, in one line. */
function firstSentence(comment: string): string {
  const marks = /^#!.*\n|^ *(?:\/\*\*|\*\/|\*|\/\/) ?|\*\/$/gm;
  const [paragraph] = comment.replace(marks, "").trim().split(/\n\s*\n|^@/m);
  const sentence = /^[^]*?[.!?](?=\s+["`{A-Z])/.exec(paragraph);
  return (sentence?.[0] ?? paragraph).trim().replace(/\s+/g, " ");
}

/** Runs `deno lint` or `deno fmt` on a text, with default settings. */
async function deno(text: string, ...args: string[]): Promise<string> {
  const child = new Deno.Command("deno", {
    args: [...args, "--no-config", "--ext=ts", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // If it leaves without reading to the end, its error says why.
  await new Blob([text]).stream().pipeTo(child.stdin).catch(() => {});
  const { stdout, stderr } = await child.output();
  if (stdout.length > 0) return new TextDecoder().decode(stdout);
  const [reason] = new TextDecoder().decode(stderr).trim().split("\n");
  throw new Error(`deno ${args[0]} says ${reason}`);
}
