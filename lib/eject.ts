/**
 * `eject()`: a script and the modules that it imports, as one text.
 *
 * There is no parser here: a few patterns know what our own formatted code
 * looks like. A test holds what they rely on: every top-level name exists once,
 * and nothing is imported under another name or as a namespace.
 *
 * @module
 */
import config from "../deno.json" with { type: "json" };

/** `// On request:` and the lines after it, up to a blank or an outer one. */
const ON_REQUEST = /^( *)\/\/ On request:.*\n(?:\1.*\S.*\n)*/gm;
/** The first line of a script, and the documentation of a module. */
const MODULE_HEAD = /^(#!.*\n)?(\/\*\*(?:(?!\*\/)[^])*@module\n \*\/\n)?/;
/** `import { a } from "b";` and `const { a } = await import("b");` */
const NAMED_IMPORT =
  /^ *(import|export|const) (type )?\{([^}]*)\} (?:from|= await import\()\s*"([^"]+)",?\s*\)?;\n/gm;
/** Any other import of a module of ours: a copy cannot hold it. */
const OTHER_IMPORT =
  /^(?:import |export .* from ).*|^.*\bimport(?:\((?!"\w+:)|\.meta\.(?!main)).*/m;
const COMMENT_LINE = /^ *(?:\/[/*]|\*).*\n/gm;
const DOCUMENTATION = /^( *)\/\*\*[^]*?\*\/\n/gm;
/** A declaration with its comments, up to the next line in column 0. */
const DECLARATION =
  /^(?:\/.*\n(?: \*.*\n)*)*(?:async |abstract )*(?:function\*?|class|interface|type|const|let) (\w+).*\n(?:(?:[ )}\]].*)?\n)*/gm;

/** Puts a script and what it imports into one text. */
export async function eject(script: URL): Promise<string> {
  const copy = new Copy();
  await copy.take(script.href);
  const lint = ["lint", "--json", "--rules-tags="]
    .concat("--rules-include=no-unused-vars");
  // What only unused functions use is found unused once they are gone.
  for (let before = -1; before < copy.unused.size;) {
    before = copy.unused.size;
    const text = copy.toString();
    for (const { message } of JSON.parse(await deno(lint, text)).diagnostics) {
      copy.unused.add(message.split("`")[1]);
    }
    // It passes over types.
    const code = text.replace(COMMENT_LINE, "");
    for (const [, name] of code.matchAll(/^(?:interface|type) (\w+)/gm)) {
      const mentions = code.match(new RegExp(`\\b${name}\\b`, "g"))!;
      if (mentions.length === 1) copy.unused.add(name);
    }
  }
  const text = await deno(["fmt", "--quiet"], copy.toString());
  const lines = text.split("\n");
  return text.replace(/^\/\/ +0 (?=(\S+):)/gm, (_, name) => {
    const line = lines.indexOf(headingOf(name)) + 1;
    return `// ${String(line).padStart(5)} `;
  });
}

/** A copy as it grows. */
class Copy {
  /** Top-level names that it does without. */
  readonly unused = new Set<string>();
  #shebang = "";
  #modules: { name: string; about: string; text: string }[] = [];
  /** From modules that are not ours, `node:readline` for one; by name. */
  #imports = new Map<string, string>();
  #taken = new Set<string>();

  /** Takes in a module, below all that it imports. */
  async take(url: string): Promise<void> {
    if (this.#taken.has(url)) return;
    this.#taken.add(url);
    const file = await Deno.readTextFile(new URL(url));
    const source = file.replaceAll("\r\n", "\n").replace(ON_REQUEST, "");
    const [head, shebang = "", about = ""] = MODULE_HEAD.exec(source)!;
    const ours: { to: string; names: string[] }[] = [];
    const text = source.slice(head.length).replace(
      NAMED_IMPORT,
      (statement, word, type = "", list: string, from: string) => {
        const to = from.startsWith(".")
          ? new URL(from, url).href
          : import.meta.resolve(from);
        const isOurs = to.startsWith("file:");
        // A renamed one is left for the error below, `node:` where it loads.
        if (isOurs ? /:| as /.test(list) : word === "const") return statement;
        const names = list.match(/\w[^,]*\b/g) ?? [];
        if (isOurs) ours.push({ to, names: word === "export" ? [] : names });
        else {
          for (const name of names) {
            const line = `import ${type}{ ${name} } from "${to}";\n`;
            this.#imports.set(name.split(" ").at(-1)!, line);
          }
        }
        return "";
      },
    );
    const name = url.replace(/.*\/(?=(lib|scripts)\/)/, "");
    const [other] = OTHER_IMPORT.exec(text) ?? [];
    if (other) {
      throw new Error(`${name} imports more than names: ${other.trim()}`);
    }
    const words = new Set(text.match(/\w+/g));
    for (const { to, names } of ours) {
      // Types of what was left out may be mentioned nowhere else.
      const isUsed = names.some((one) => words.has(one.split(" ").at(-1)!));
      if (isUsed || names.length === 0) await this.take(to);
    }
    this.#shebang = shebang;
    this.#modules.push({ name, about, text: shorten(text) });
  }

  /** The whole text; numbers of lines in its table of contents are 0 yet. */
  toString(): string {
    const modules = this.#modules.map(({ text, ...rest }) => {
      const used = text.replace(
        DECLARATION,
        (all, name) => this.unused.has(name) ? "" : all,
      );
      return { ...rest, text: used.trim() };
    }).filter(({ text }) => text !== "");
    const { name, about } = modules.at(-1)!;
    const imports = this.#imports.entries()
      .filter(([name]) => !this.unused.has(name)).map(([, line]) => line);
    return [
      this.#shebang + withoutFolder(about),
      `// SPDX-License-Identifier: ${config.license}\n`,
      "// Copyright (c) 2026 the socket scripts authors\n//\n",
      `// Ejected from ${name} of ${config.name} ${config.version}.\n`,
      "// What is below, and on which line it begins:\n//\n",
      ...modules.map(({ name, about }) =>
        wrap(`${name}: ${firstSentence(about)}`, "//       ")
          .replace("//       ", "//     0 ")
      ),
      "\n",
      ...imports,
      ...modules.map(({ name, text }) => `\n${headingOf(name)}\n\n${text}\n`),
    ].join("");
  }
}

function headingOf(module: string): string {
  return `// ${module} `.padEnd(80, "-");
}

/** Takes out `export`, and of documentation all but the first sentence. */
function shorten(text: string): string {
  return withoutFolder(text).replace(/^export /gm, "")
    .replace(DOCUMENTATION, (comment, indent) => {
      const sentence = firstSentence(comment);
      const line = `${indent}/** ${sentence} */\n`;
      if (line.length <= 81 || line === comment) return line;
      const lines = wrap(sentence, `${indent} * `);
      return `${indent}/**\n${lines}${indent} */\n`;
    });
}

/** In the examples: the copy and its peer are in no such folder. */
function withoutFolder(text: string): string {
  return text.replaceAll(/\bscripts\/(?=\w+\.ts\b)/g, "");
}

/** The first sentence of a comment, in one line. */
function firstSentence(comment: string): string {
  const text = comment.replace(/^ *(?:\/\*\*|\*\/|\*) ?|\*\/$/gm, "").trim();
  const [paragraph] = text.split(/\n\s*\n|^@/m);
  const sentence = /^[^]*?[.!?](?=\s+["`{A-Z])/.exec(paragraph);
  return (sentence?.[0] ?? paragraph).trim().replace(/\s+/g, " ");
}

/** Breaks text into lines of up to 80 columns, each after a prefix. */
function wrap(text: string, prefix: string): string {
  const line = new RegExp(`(.{1,${80 - prefix.length}})(?: |$)`, "g");
  return text.replace(line, `${prefix}$1\n`);
}

/** Has Deno itself look through a text, with its default settings. */
async function deno(args: string[], text: string): Promise<string> {
  // Where only the one in PATH may be run, that one.
  const command = Deno.execPath();
  const { state } = await Deno.permissions.query({ name: "run", command });
  const child = new Deno.Command(state === "granted" ? command : "deno", {
    args: [...args, "--no-config", "--ext=ts", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // If it leaves without reading to the end, its error says why.
  const sent = new Blob([text]).stream().pipeTo(child.stdin).catch(() => {});
  const [{ stdout, stderr }] = await Promise.all([child.output(), sent]);
  const [output, errors] = [stdout, stderr]
    .map((bytes) => new TextDecoder().decode(bytes));
  if (output !== "") return output;
  throw new Error(`deno ${args[0]} says ${errors.trim().split("\n")[0]}`);
}
