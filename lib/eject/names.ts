/**
 * What each declaration is called in the one file: as before, unless two that
 * are not the same have one name.
 *
 * @module
 */
import ts from "typescript";
import { type Binding, type Reference, statementOf } from "./binding.ts";
import type { Used } from "./shake.ts";

/** What became of the names. */
export interface Names {
  /** What a declaration is called now. */
  of(binding: Binding): string;
  /** Statements that say once more what another one does. */
  readonly copies: ReadonlySet<ts.Statement>;
}

/**
 * Names what a script uses. Of two that clash, the one that comes first keeps
 * its name, though the script's own goes before all; the other is called after
 * its module, too: `LINE_FEED` of messages.ts is `MESSAGES_LINE_FEED`. Where
 * two modules declare the same constant, as in `const COLON = 0x3a`, one of
 * them is enough.
 *
 * @param checker Tells which locals there are.
 * @param used What the script uses.
 * @param modules The order of the modules, the script last.
 * @returns The names.
 */
export function chooseNames(
  checker: ts.TypeChecker,
  used: Used,
  modules: readonly ts.SourceFile[],
): Names {
  const references = referencesByBinding(used);
  // The names of globals are taken wherever one of them is meant.
  const taken = new Set<string>(
    [...used.statements.values()].flatMap(({ free }) => free),
  );
  const names = new Map<Binding, string>();
  const constants = new Map<string, string>();
  const copies = new Set<ts.Statement>();
  for (const binding of inNamingOrder(used, modules)) {
    const constant = constantOf(binding);
    const same = constant && constants.get(constant);
    const fits = (name: string) =>
      references.get(binding)!.every((each) => !isHidden(checker, name, each));
    if (same !== undefined && fits(same)) {
      copies.add(binding.statements[0]);
      names.set(binding, same);
      continue;
    }
    let name = binding.name;
    if (taken.has(name) || !fits(name)) name = longerName(binding);
    while (taken.has(name) || !fits(name)) name += "_";
    taken.add(name);
    names.set(binding, name);
    if (constant !== undefined) constants.set(constant, name);
  }
  return { of: (binding) => names.get(binding) ?? binding.name, copies };
}

function referencesByBinding({ statements, bindings }: Used) {
  const found = new Map<Binding, Reference[]>();
  for (const binding of bindings) found.set(binding, []);
  for (const { bound } of statements.values()) {
    for (const reference of bound) {
      found.get(reference.binding)!.push(reference);
    }
  }
  return found;
}

/** The script's own, what is imported, and the rest from top to bottom. */
function inNamingOrder(
  { bindings }: Used,
  modules: readonly ts.SourceFile[],
): Binding[] {
  const place = ({ statements: [first] }: Binding): number => {
    if (first === undefined) return -1;
    const index = modules.indexOf(first.getSourceFile());
    return index === modules.length - 1 ? -2 : index;
  };
  const position = ({ statements: [first] }: Binding) => first?.pos ?? 0;
  return [...bindings].sort((a, b) =>
    place(a) - place(b) || position(a) - position(b)
  );
}

/** What stands for a constant of one literal value, if it is that. */
function constantOf({ statements: [statement] }: Binding): string | undefined {
  if (statement === undefined || !ts.isVariableStatement(statement)) return;
  const { flags, declarations } = statement.declarationList;
  const [{ initializer }] = declarations;
  if (!(flags & ts.NodeFlags.Const) || declarations.length > 1) return;
  if (initializer === undefined || !ts.isLiteralExpression(initializer)) return;
  // Regular expressions have a state, and are not the same as another.
  if (ts.isRegularExpressionLiteral(initializer)) return;
  return declarations[0].getText();
}

/** Whether a local of that name is nearer to where a binding is named. */
function isHidden(
  checker: ts.TypeChecker,
  name: string,
  { node, written }: Reference,
): boolean {
  if (name === written || ts.isExportSpecifier(node)) return false;
  const kinds = ts.SymbolFlags.Value | ts.SymbolFlags.Type |
    ts.SymbolFlags.Namespace;
  // The nearest of each name.
  const [local] = checker.getSymbolsInScope(node, kinds)
    .filter((symbol) => symbol.name === name)
    .flatMap(({ declarations = [] }) => declarations);
  return local !== undefined && statementOf(local) === undefined;
}

function longerName({ name, statements: [first], from }: Binding): string {
  const path = first?.getSourceFile().fileName ?? from!.specifier;
  const words = path.split("/").at(-1)!.replace(/\.ts$/, "").split(/\W|_/);
  const capital = (word: string) =>
    word.slice(0, 1).toUpperCase() + word.slice(1);
  if (/^[A-Z][A-Z0-9_]*$/.test(name)) {
    return [...words, name].join("_").toUpperCase();
  }
  const joined = [...words, name].map(capital).join("");
  return /^[A-Z]/.test(name)
    ? joined
    : joined.slice(0, 1).toLowerCase() + joined.slice(1);
}
