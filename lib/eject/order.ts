/**
 * In which order the modules of a script follow one another in one file: the
 * one in which Deno runs them, so a constant or a class is there before what
 * needs it at once.
 *
 * @module
 */
import ts from "typescript";
import { loadedOnDemand, type Project } from "./project.ts";

/** Another module that a module names, and whether for its types only. */
interface Import {
  readonly module: ts.SourceFile;
  readonly typeOnly: boolean;
}

/**
 * Puts the modules of a script in order.
 *
 * @param project The script and its modules.
 * @returns The modules: each after those it imports, the script last.
 */
export function inOrder(project: Project): ts.SourceFile[] {
  const run = inRunningOrder(project);
  const order = new Set<ts.SourceFile>();
  const entered = new Set<ts.SourceFile>();
  // Modules that hold types alone come before the first that names them; where
  // a type is declared is all the same to the others.
  const visit = (module: ts.SourceFile) => {
    if (entered.has(module)) return;
    entered.add(module);
    for (const { module: next, typeOnly } of importsOf(project, module)) {
      const isOnTheWay = run.has(next) && (typeOnly || !run.has(module));
      if (!isOnTheWay) visit(next);
    }
    order.add(module);
  };
  visit(project.script);
  return [...order];
}

/** The modules that run, not those imported for their types. */
function inRunningOrder(project: Project): Set<ts.SourceFile> {
  const entered = new Set<ts.SourceFile>();
  const visit = (module: ts.SourceFile) => {
    if (entered.has(module)) return;
    entered.add(module);
    for (const { module: next, typeOnly } of importsOf(project, module)) {
      if (!typeOnly) visit(next);
    }
  };
  visit(project.script);
  return entered;
}

function importsOf(project: Project, module: ts.SourceFile): Import[] {
  const imports: Import[] = [];
  const add = (specifier: ts.Expression | undefined, typeOnly: boolean) => {
    const next = project.moduleOf(specifier);
    if (next !== undefined) imports.push({ module: next, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, isTypeOnly(node));
    } else {
      // What is loaded on demand is there from the start, in one file.
      add(loadedOnDemand(node), false);
      ts.forEachChild(node, visit);
    }
  };
  visit(module);
  return imports;
}

function isTypeOnly(
  statement: ts.ImportDeclaration | ts.ExportDeclaration,
): boolean {
  const clause = ts.isImportDeclaration(statement)
    ? statement.importClause
    : statement;
  if (clause === undefined) return false;
  if (clause.isTypeOnly) return true;
  const names = ts.isImportClause(clause)
    ? clause.name ? undefined : clause.namedBindings
    : clause.exportClause;
  if (!names || !(ts.isNamedImports(names) || ts.isNamedExports(names))) {
    return false;
  }
  return names.elements.every((element) => element.isTypeOnly);
}
