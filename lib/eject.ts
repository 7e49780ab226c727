// `eject()`: a script and the modules that it imports, as one text.
//
// There is no parser here: a few patterns know what our own formatted code
// looks like. A test holds what they rely on: every top-level name exists once,
// and nothing is imported under another name or as a namespace.
import config from "../deno.json" with { type: "json" };

/** `// On request:` and the lines after it, up to a blank or an outer one. */
const ON_REQUEST = /^( *)\/\/ On request:.*\n(?:\1.*\S.*\n)*/gm;
/** The first line of a script, and what the head of a module says. */
const MODULE_HEAD =
  /^(#!.*\n)?(\/\*\*(?:(?!\*\/)[^])*@module\n \*\/\n|(?:\/\/.*\n)*)/;
/** `import { a } from "b";` and `const { a } = await import("./b.ts");` */
const NAMED_IMPORT =
  /^ *(import|export|const) (type )?\{((?:(?! as |:)[^}])*)\} (?:from|= await import\((?=\s*"\.))\s*"([^"]+)",?\s*\)?;\n/gm;
/** Any other import of a module of ours: a copy cannot hold it. */
const OTHER_IMPORT =
  /^(?:import |export .* from ).*|^.*\bimport(?:\((?!"\w+:)|\.meta\.(?!main)).*/m;
/** A declaration with its comments, up to the next line in column 0. */
const DECLARATION =
  /^(?:\/.*\n(?: \*.*\n)*)*(?:async |abstract )*(?:function\*?|class|interface|type|const|let) (\w+).*\n(?:(?:[ )}\]].*)?\n)*/gm;
/** The name of an option, where it is made. */
const OPTION = /\w+(?=: (?:\{$|(?:option|toggle|list)\())/gm;
/** In the examples: the copy and its peer are in no such folder. */
const SCRIPTS_FOLDER = /\bscripts\/(?=\w+\.ts\b)/g;
const DOCUMENTATION = /^( *)\/\*\*[^]*?\*\/\n/gm;
const COMMENT_LINE = /^ *(?:\/[/*]|\*).*\n/gm;

/** Puts a script and what it imports into one text. */
export async function eject(script: URL): Promise<string> {
  const taken = new Set<string>();
  const modules: { name: string; head: string; text: string }[] = [];
  /** Imports from modules that are not ours, `node:readline` for one; by name. */
  const imports = new Map<string, string>();
  const leftOut = new Set<string>();

  /** Takes in a module, below all that it imports. */
  async function take(url: string): Promise<void> {
    if (taken.has(url)) return;
    taken.add(url);
    const file = (await Deno.readTextFile(new URL(url)))
      .replaceAll("\r\n", "\n");
    for (const [paragraph] of file.matchAll(ON_REQUEST)) {
      for (const [name] of paragraph.matchAll(OPTION)) {
        leftOut.add(`--${name.replace(/[A-Z]/g, "-$&").toLowerCase()}`);
      }
    }
    const source = file.replace(ON_REQUEST, "").replace(SCRIPTS_FOLDER, "");
    const [head] = MODULE_HEAD.exec(source)!;
    const text = source.slice(head.length).replace(NAMED_IMPORT, "");
    const name = url.replace(/.*\/(?=(lib|scripts)\/)/, "");
    const other = OTHER_IMPORT.exec(text)?.[0].trim();
    if (other) throw new Error(`${name} imports more than names: ${other}`);
    const words = new Set(text.match(/\w+/g));
    for (const statement of source.matchAll(NAMED_IMPORT)) {
      const [, word, type = "", list, from] = statement;
      const names = list.match(/\w[^,]*\b/g) ?? [];
      const to = from.startsWith(".")
        ? new URL(from, url).href
        : import.meta.resolve(from);
      // Types of what was left out may be mentioned nowhere else.
      const isUsed = names.some((name) => words.has(lastWord(name)));
      const isOurs = to.startsWith("file:");
      if (isOurs && (isUsed || word === "export")) await take(to);
      for (const name of isOurs ? [] : names) {
        const line = `import ${type}{ ${name} } from "${to}";\n`;
        imports.set(lastWord(name), line);
      }
    }
    modules.push({ name, head, text: shorten(text) });
  }

  await take(script.href);
  let copy = "";
  // What only unused functions use is found unused once they are gone.
  const unused = new Set<string>();
  for (let before = -1; before < unused.size;) {
    before = unused.size;
    for (const module of modules) {
      const kept = (all: string, name: string) => unused.has(name) ? "" : all;
      module.text = module.text.replace(DECLARATION, kept).trim() + "\n";
    }
    for (const name of unused) imports.delete(name);
    const used = modules.filter(({ text }) => text !== "\n");
    const parts = used.map(({ name, text }) => `${headingOf(name)}\n${text}`);
    const { name, head } = used.at(-1)!;
    copy = `${head}\
// SPDX-License-Identifier: ${config.license}
// Copyright (c) 2026 the socket scripts authors
//
// Ejected from ${name} of ${config.name} ${config.version}.
${leftOut.size > 0 ? `// Not in it is ${[...leftOut].join(" ")}.\n` : ""}\
// What is below, and on which line it begins:
//
${used.map(contentOf).join("\n")}

${[...imports.values()].join("")}
${parts.join("\n")}`;
    const lint = ["lint", "--json", "--rules-tags="];
    const found = await deno(copy, ...lint, "--rules-include=no-unused-vars");
    for (const { message } of JSON.parse(found).diagnostics) {
      unused.add(message.split("`")[1]);
    }
    // It passes over types.
    const code = copy.replace(COMMENT_LINE, "");
    for (const [, name] of code.matchAll(/^(?:interface|type) (\w+)/gm)) {
      const mentions = code.match(new RegExp(`\\b${name}\\b`, "g"))!;
      if (mentions.length === 1) unused.add(name);
    }
  }
  copy = await deno(copy, "fmt", "--quiet");
  const lines = copy.split("\n");
  return copy.replace(/^\/\/ +0 (?=(\S+):)/gm, (_, name) => {
    const line = lines.indexOf(headingOf(name)) + 1;
    return `// ${String(line).padStart(5)} `;
  });
}

function headingOf(module: string): string {
  return `// ${module} `.padEnd(80, "-");
}

/** A line of the table of contents; the number of its line is 0 yet. */
function contentOf({ name, head }: { name: string; head: string }): string {
  const line = `//     0 ${name}: ${firstSentence(head)}`;
  return line.replace(/^(?=.{81})(.{1,78}) .*/, "$1 …");
}

/** The name in `type Name`. */
function lastWord(words: string): string {
  return words.split(" ").at(-1)!;
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

/** Has Deno itself look through a text, with its default settings. */
async function deno(text: string, ...args: string[]): Promise<string> {
  const child = new Deno.Command("deno", {
    args: [...args, "--no-config", "--ext=ts", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // If it leaves without reading to the end, its error says why.
  const sent = new Blob([text]).stream().pipeTo(child.stdin).catch(() => {});
  const [{ stdout, stderr }] = await Promise.all([child.output(), sent]);
  if (stdout.length > 0) return new TextDecoder().decode(stdout);
  const [reason] = new TextDecoder().decode(stderr).trim().split("\n");
  throw new Error(`deno ${args[0]} says ${reason}`);
}
