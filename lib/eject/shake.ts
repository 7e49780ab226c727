/**
 * What a script uses: its own statements, and every top-level declaration that
 * these need, however indirectly.
 *
 * @module
 */
import ts from "typescript";
import { type Binding, type References, Resolver } from "./binding.ts";
import type { Project } from "./project.ts";

/** The statements that a script consists of. */
export interface Used {
  /** Each with what it refers to. */
  readonly statements: ReadonlyMap<ts.Statement, References>;
  /** Everything that they name. */
  readonly bindings: ReadonlySet<Binding>;
}

/**
 * Finds what a script uses.
 *
 * @param project The script and its modules.
 * @returns The statements that are needed, and what they refer to.
 * @throws {Error} If a part does not fit in one file.
 */
export function shake(project: Project): Used {
  const resolver = new Resolver(project);
  const statements = new Map<ts.Statement, References>();
  const bindings = new Set<Binding>();
  const queue: ts.Statement[] = [];
  const modules = new Set<ts.SourceFile>();
  const enter = (module: ts.SourceFile) => {
    if (modules.has(module)) return;
    modules.add(module);
    // `import "./module.ts"`
    for (const statement of module.statements) {
      if (!ts.isImportDeclaration(statement) || statement.importClause) {
        continue;
      }
      const next = project.moduleOf(statement.moduleSpecifier);
      if (next !== undefined) enter(next);
    }
    // What a module does when it is loaded is done here, too.
    queue.push(
      ...module.statements.filter((statement) =>
        module === project.script
          ? !ts.isImportDeclaration(statement)
          : !isDeclaration(statement) && !runsAsScript(statement)
      ),
    );
  };
  enter(project.script);
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (statements.has(next)) continue;
    const references = resolver.references(next);
    statements.set(next, references);
    enter(next.getSourceFile());
    for (const { binding } of references.bound) {
      bindings.add(binding);
      queue.push(...binding.statements);
    }
  }
  return { statements, bindings };
}

function isDeclaration(statement: ts.Statement): boolean {
  return ts.isImportDeclaration(statement) ||
    ts.isExportDeclaration(statement) || ts.isVariableStatement(statement) ||
    ts.isDeclarationStatement(statement) || ts.isEmptyStatement(statement);
}

/** Of a module that is a script as well: `if (import.meta.main)`. */
function runsAsScript(statement: ts.Statement): boolean {
  return ts.isIfStatement(statement) &&
    ts.isPropertyAccessExpression(statement.expression) &&
    ts.isMetaProperty(statement.expression.expression) &&
    statement.expression.name.text === "main";
}
