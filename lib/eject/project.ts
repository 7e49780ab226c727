/**
 * A script and all that it imports, as TypeScript's parser and binder see it.
 *
 * @module
 */
import ts from "typescript";

const ROOT = new URL("../../", import.meta.url);

/** A script with the modules that it imports, however indirectly. */
export interface Project {
  /** The script. */
  readonly script: ts.SourceFile;
  /** Tells which declaration a name stands for. */
  readonly checker: ts.TypeChecker;
  /**
   * Finds the module that an import or a re-export names.
   *
   * @param specifier The literal that names it.
   * @returns The module; nothing if it is none of this project's.
   */
  readonly moduleOf: (
    specifier: ts.Expression | undefined,
  ) => ts.SourceFile | undefined;
}

/**
 * Reads a script and what it imports. Nothing is type-checked, so neither
 * Deno's types nor those of the language are needed.
 *
 * @param url Where the script is.
 * @param inlines Whether a module with such a specifier is the project's; one
 * that is not stays an import.
 * @returns The project.
 * @throws {SyntaxError} If a module does not parse.
 */
export function readProject(
  url: URL,
  inlines: (specifier: string) => boolean,
): Project {
  const locate = (specifier: string, from: string): string | undefined => {
    if (/^\.\.?\//.test(specifier)) return new URL(specifier, from).href;
    if (!inlines(specifier)) return undefined;
    // By deno.json; what it does not link to a file of ours is not ours.
    const found = import.meta.resolve(specifier);
    return found.startsWith("file:") ? found : undefined;
  };
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    allowImportingTsExtensions: true,
    noEmit: true,
    noLib: true,
  };
  const program = ts.createProgram([url.href], options, {
    getSourceFile: (name) =>
      ts.createSourceFile(
        name,
        Deno.readTextFileSync(new URL(name)),
        ts.ScriptTarget.ESNext,
        true,
      ),
    resolveModuleNameLiterals: (literals, from) =>
      literals.map(({ text }) => {
        const resolvedFileName = locate(text, from);
        const extension = ts.Extension.Ts;
        return {
          resolvedModule: resolvedFileName === undefined
            ? undefined
            : { resolvedFileName, extension },
        };
      }),
    fileExists: () => false,
    readFile: () => undefined,
    writeFile: () => {},
    getDefaultLibFileName: () => "",
    getCurrentDirectory: () => "",
    getCanonicalFileName: (name) => name,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
  });
  for (
    const { file, start, messageText } of program.getSyntacticDiagnostics()
  ) {
    const text = ts.flattenDiagnosticMessageText(messageText, " ");
    throw new SyntaxError(`${text} (${placeOf(file, start)})`);
  }
  return {
    script: program.getSourceFile(url.href)!,
    checker: program.getTypeChecker(),
    moduleOf(specifier) {
      if (!specifier || !ts.isStringLiteral(specifier)) return undefined;
      const from = specifier.getSourceFile().fileName;
      const found = locate(specifier.text, from);
      return found === undefined ? undefined : program.getSourceFile(found);
    },
  };
}

/**
 * Names a module as a person would: `lib/text.ts`.
 *
 * @param file The module.
 * @returns Its path from the root of the project.
 */
export function pathOf({ fileName }: ts.SourceFile): string {
  return fileName.startsWith(ROOT.href)
    ? fileName.slice(ROOT.href.length)
    : fileName;
}

/**
 * Names a place for an error: `lib/text.ts:12`.
 *
 * @param file The module.
 * @param position Where in its text.
 * @returns The module and the line.
 */
export function placeOf(file: ts.SourceFile, position: number): string {
  const { line } = file.getLineAndCharacterOfPosition(position);
  return `${pathOf(file)}:${line + 1}`;
}

/**
 * Finds what a module is named by that is loaded when it is needed.
 *
 * @param node An expression, `(await import("./module.ts"))` maybe.
 * @returns The specifier in it; nothing if it is another expression.
 */
export function loadedOnDemand(node: ts.Node): ts.Expression | undefined {
  if (!ts.isParenthesizedExpression(node)) return undefined;
  if (!ts.isAwaitExpression(node.expression)) return undefined;
  const call = node.expression.expression;
  return ts.isCallExpression(call) &&
      call.expression.kind === ts.SyntaxKind.ImportKeyword
    ? call.arguments[0]
    : undefined;
}
