// `eject()`: a script and the modules that it imports, as one text.
//
// There is no parser here: a few patterns know what our own formatted code
// looks like. A test checks what they rely on: every top-level name exists once,
// and nothing is imported under another name or as a namespace.
import config from "../deno.json" with { type: "json" };

// `// On request:` and the lines after it, up to a blank or an outer one; inside
// of something, the blank lines around them, too.
const ON_REQUEST =
  /(?:^\n(?= ))?^( *)\/\/ On request:.*\n(?:\1.*\S.*\n)*(?:(?<=^ .*\n)\n)?/gm;
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
  /^(?:\/(?!.* -+$).*\n(?: \*.*\n)*)*(?:async |abstract )*(?:function\*?|class|interface|type|const|let) (\w+).*\n(?:(?:[ )}\]].*)?\n)*/gm;
/** What stands above a module, and above one of which nothing is left. */
const HEADING = /^\/\/ (\S+) -+$/gm;
const EMPTY_MODULE = /^\/\/ \S+ -+\n\s*(?=\/\/ \S+ -+$)/gm;

/** Puts a script and what it imports into one text. */
export async function eject(script: URL): Promise<string> {
  const heads = new Map<string, string>();
  /** From modules that are not ours, `node:readline` for one. */
  const imports = new Set<string>();
  const leftOut = new Set<string>();

  /** Gives a module, after all that it imports. */
  async function take(url: string): Promise<string> {
    const name = url.replace(/.*\/(?=(lib|scripts)\/)/, "");
    if (heads.has(name)) return "";
    const file = await Deno.readTextFile(new URL(url));
    const whole = file.replaceAll("\r\n", "\n").replace(SCRIPTS_FOLDER, "");
    const source = whole.replace(ON_REQUEST, (paragraph) => {
      for (const name of paragraph.match(OPTION) ?? []) {
        leftOut.add(`--${name.replace(/[A-Z]/g, "-$&").toLowerCase()}`);
      }
      return "";
    });
    const [head] = MODULE_HEAD.exec(source)!;
    heads.set(name, head);
    let code = "";
    for (const [, type = "", names, from] of source.matchAll(NAMED_IMPORT)) {
      const isPath = from.startsWith(".");
      const { href } = new URL(isPath ? from : import.meta.resolve(from), url);
      if (href.startsWith("file:")) code += await take(href);
      else imports.add(`import ${type}{${names}} from "${href}";\n`);
    }
    const text = source.slice(head.length).replace(NAMED_IMPORT, "");
    const heading = `// ${name} `.padEnd(80, "-");
    return `${code}\n${heading}\n${shorten(text).trim()}\n`;
  }

  let code = await take(script.href);
  code = [...imports, code].join("");
  // Once unused functions are gone, what only they used is unused too.
  for (let before = ""; before !== code;) {
    before = code;
    const unused = await unusedIn(code);
    const keep = (all: string, name: string) => unused.has(name) ? "" : all;
    code = code.replace(DECLARATION, keep);
  }
  const body = await deno(code.replace(EMPTY_MODULE, ""), "fmt", "--quiet");
  const found = [...body.matchAll(HEADING)];
  const [, name] = found.at(-1)!;
  const top = `${heads.get(name)}\
// SPDX-License-Identifier: ${config.license}
// Copyright (c) 2026 the socket scripts authors
// Ejected from ${name} of ${config.name} ${config.version}.
${leftOut.size > 0 ? `// Not in it: ${[...leftOut].join(" ")}.\n` : ""}\
// What is below, and on which line it begins:
`;
  const above = top.split("\n").length + found.length;
  const contents = found.map(({ 1: name, index }) => {
    const line = above + body.slice(0, index).split("\n").length;
    const about = firstSentence(heads.get(name)!);
    return `// ${`${line}`.padStart(5)} ${name}: ${about}`
      .trimEnd().replace(/^(?=.{81})(.{1,78}) .*/, "$1 …");
  });
  return [top + contents.join("\n"), "", body].join("\n");
}

/** The names that are declared and not used. */
async function unusedIn(code: string): Promise<Set<string>> {
  const lint = ["lint", "--json", "--rules-tags="];
  const found = await deno(code, ...lint, "--rules-include=no-unused-vars");
  const names: string[] = JSON.parse(found).diagnostics
    .map(({ message }: { message: string }) => message.split("`")[1]);
  // The linter skips types.
  const types = code.matchAll(/^(?:interface|type) (\w+)/gm)
    .map(([, name]) => name)
    .filter((name) => code.split(RegExp(`\\b${name}\\b`)).length === 2);
  return new Set([...names, ...types]);
}

/** Takes out `export`, and of documentation all but the first sentence. */
function shorten(text: string): string {
  return text.replace(/^export /gm, "")
    .replace(/^( *)\/\*\*[^]*?\*\/\n/gm, (comment, indent) => {
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
