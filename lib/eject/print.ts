/**
 * The text of a module's statements, as they are to stand in the one file.
 *
 * @module
 */
import ts from "typescript";
import { docsOf, type References } from "./binding.ts";
import type { Names } from "./names.ts";
import { pathOf } from "./project.ts";
import type { Used } from "./shake.ts";

/** A change in a module's text. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Prints what is used of a module, with its comments, in its order.
 *
 * @param module The module.
 * @param used What is used, of every module.
 * @param names What everything is called.
 * @param exported Whether what it exports stays exported.
 * @returns The text, empty if nothing is used.
 */
export function printModule(
  module: ts.SourceFile,
  used: Used,
  names: Names,
  exported: boolean,
): string {
  let printed = "";
  let last: ts.Statement | undefined;
  for (const statement of module.statements) {
    const references = used.statements.get(statement);
    if (references === undefined || names.copies.has(statement)) continue;
    const text = printStatement(statement, references, names, exported);
    const blankLine = /^[^\S\n]*\n[^\S\n]*\n/.test(
      module.text.slice(trailingEnd(module, statement.pos), statement.end),
    );
    const adjacent = !blankLine && last !== undefined &&
      last.end === statement.pos;
    printed += printed === "" ? text : `${adjacent ? "\n" : "\n\n"}${text}`;
    last = statement;
  }
  return printed;
}

/**
 * Prints the comment that heads a module: where it was, and the first
 * paragraph of its documentation. The rest may speak of what is not here.
 *
 * @param module The module.
 * @returns Line comments of up to 80 columns.
 */
export function printHeading(module: ts.SourceFile): string {
  const doc = moduleDoc(module);
  const [summary] = ts.getTextOfJSDocComment(doc?.comment)?.split("\n\n") ?? [];
  const text = summary === undefined
    ? pathOf(module)
    : `${pathOf(module)}: ${summary}`;
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = `${lines.at(-1)} ${word}`;
    if (line.length > 78) lines.push(` ${word}`);
    else lines[lines.length - 1] = line;
  }
  return lines.map((line) => `//${line}`).join("\n");
}

/**
 * Takes the comments from the top of a script: its first line that names the
 * interpreter, and its documentation.
 *
 * @param script The script.
 * @returns The first line, empty if there is none, and the comments.
 */
export function headOf(script: ts.SourceFile): [string, string] {
  const shebang = ts.getShebang(script.text) ?? "";
  const end = headEnd(script);
  return [shebang, script.text.slice(shebang.length, end).trim()];
}

/** Where the comments end that are the module's and not its first statement's. */
function headEnd(module: ts.SourceFile): number {
  const [first] = module.statements;
  if (first !== undefined && ts.isImportDeclaration(first)) {
    return first.getStart();
  }
  return moduleDoc(module)?.end ?? ts.getShebang(module.text)?.length ?? 0;
}

function moduleDoc(module: ts.SourceFile): ts.JSDoc | undefined {
  const [first] = module.statements;
  return first &&
    docsOf(first).find(({ tags }) =>
      tags?.some((tag) => tag.tagName.text === "module")
    );
}

function printStatement(
  statement: ts.Statement,
  references: References,
  names: Names,
  exported: boolean,
): string {
  const module = statement.getSourceFile();
  const isFirst = statement === module.statements[0];
  const start = isFirst ? headEnd(module) : trailingEnd(module, statement.pos);
  const end = trailingEnd(module, statement.end);
  const edits: Edit[] = [...exampleEdits(statement)];
  for (const { node, binding, written } of references.bound) {
    const name = names.of(binding);
    if (ts.isExportSpecifier(node)) edits.push(exportEdit(node, name));
    else if (name !== written) edits.push(nameEdit(node, name));
  }
  for (const { node, binding, written } of references.inComments) {
    const name = names.of(binding);
    if (name !== written) edits.push(nameEdit(node, name));
  }
  if (!exported) edits.push(...exportKeywords(statement));
  if (ts.isExportDeclaration(statement) && statement.exportClause) {
    // `export { name } from "./module.ts"`
    edits.push({ start: statement.exportClause.end, end, text: ";" });
  }
  return applied(module.text, start, end, edits).trim();
}

/** Where a comment ends that stands on the line of what is before. */
function trailingEnd({ text }: ts.SourceFile, position: number): number {
  return ts.getTrailingCommentRanges(text, position)?.at(-1)?.end ?? position;
}

/** `{ text }` has the property's name, too. */
function nameEdit(node: ts.Node, name: string): Edit {
  const { parent } = node;
  const shorthand = ts.isShorthandPropertyAssignment(parent) ||
    ts.isBindingElement(parent) && parent.name === node &&
      ts.isObjectBindingPattern(parent.parent) &&
      parent.propertyName === undefined && !parent.dotDotDotToken;
  const text = shorthand ? `${node.getText()}: ${name}` : name;
  return { start: node.getStart(), end: node.getEnd(), text };
}

function exportEdit(node: ts.ExportSpecifier, name: string): Edit {
  const type = node.isTypeOnly ? "type " : "";
  const { text: outside } = node.name;
  const text = type + (name === outside ? name : `${name} as ${outside}`);
  return { start: node.getStart(), end: node.getEnd(), text };
}

function exportKeywords(statement: ts.Statement): Edit[] {
  const modifiers = ts.canHaveModifiers(statement)
    ? ts.getModifiers(statement) ?? []
    : [];
  const { text } = statement.getSourceFile();
  return modifiers
    .filter(({ kind }) =>
      kind === ts.SyntaxKind.ExportKeyword ||
      kind === ts.SyntaxKind.DefaultKeyword
    )
    .map((modifier) => ({
      start: modifier.getStart(),
      end: skipSpace(text, modifier.end),
      text: "",
    }));
}

/** Examples import the library, and there is none any more. */
function exampleEdits(statement: ts.Statement): Edit[] {
  const edits: Edit[] = [];
  const { text } = statement.getSourceFile();
  const lineStart = (position: number) => text.lastIndexOf("\n", position) + 1;
  const visit = (node: ts.Node): void => {
    for (const doc of docsOf(node)) {
      doc.tags?.forEach((tag, i, tags) => {
        if (tag.tagName.text !== "example") return;
        const next = tags[i + 1];
        let start = lineStart(tag.getStart());
        const end = lineStart(next ? next.getStart() : doc.end - 1);
        // With the empty lines that set it off from what is above.
        while (next === undefined) {
          const before = lineStart(start - 2);
          if (!/^\s*\*\s*$/.test(text.slice(before, start - 1))) break;
          start = before;
        }
        const isAll = i === 0 && next === undefined && !doc.comment;
        edits.push(
          isAll
            ? { start: doc.pos, end: skipSpace(text, doc.end), text: "" }
            : { start, end, text: "" },
        );
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(statement);
  return edits;
}

function skipSpace(text: string, position: number): number {
  return position + /^\s*/.exec(text.slice(position))![0].length;
}

function applied(
  text: string,
  start: number,
  end: number,
  edits: Edit[],
): string {
  let result = "";
  let position = start;
  for (const edit of edits.sort((a, b) => a.start - b.start)) {
    // Within an example that is gone.
    if (edit.start < position) continue;
    result += text.slice(position, edit.start) + edit.text;
    position = edit.end;
  }
  return result + text.slice(position, end);
}
