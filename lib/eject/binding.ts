/**
 * Which top-level declaration a name stands for, through imports, namespaces,
 * aliases and re-exports.
 *
 * @module
 */
import ts from "typescript";
import { loadedOnDemand, placeOf, type Project } from "./project.ts";

/** A top-level declaration, or something that stays imported. */
export interface Binding {
  /** What it is called where it is declared. */
  readonly name: string;
  /** Where it is declared: several for overloads; none if imported. */
  readonly statements: readonly ts.Statement[];
  /** Where it is imported from, if it stays so. */
  readonly from?: {
    readonly specifier: string;
    /** Its name there; `*` for all of the module, `default` is one too. */
    readonly name: string;
    readonly typeOnly: boolean;
  };
}

/** A place where a binding is named. */
export interface Reference {
  /** The name; with `cli.option`, both names. */
  readonly node: ts.Node;
  /** What it stands for. */
  readonly binding: Binding;
  /** The name as it was written there. */
  readonly written: string;
}

/** What a statement refers to. */
export interface References {
  /** Where it names top-level declarations, its own too. */
  readonly bound: readonly Reference[];
  /** The same within comments, which need nothing to be there. */
  readonly inComments: readonly Reference[];
  /** Names that no module declares: globals. */
  readonly free: readonly string[];
}

/** Finds out what names stand for; a binding is the same object every time. */
export class Resolver {
  #project: Project;
  #bindings = new Map<ts.Node | string, Binding>();

  /**
   * Makes a resolver.
   *
   * @param project Where the names are.
   */
  constructor(project: Project) {
    this.#project = project;
  }

  /**
   * Finds everything that a top-level statement refers to.
   *
   * @param statement The statement.
   * @returns The references, in no particular order.
   * @throws {Error} If it uses a module in a way that does not fit in one file.
   */
  references(statement: ts.Statement): References {
    const bound: Reference[] = [];
    const inComments: Reference[] = [];
    const free: string[] = [];
    const visit = (node: ts.Node): void => {
      for (const doc of docsOf(node)) {
        for (const name of linkedNames(doc)) {
          const binding = this.#bindingOf(this.#symbolAt(name));
          if (binding === undefined) continue;
          inComments.push({ node: name, binding, written: name.text });
        }
      }
      if (ts.isExportSpecifier(node)) {
        const symbol = this.#project.checker.getSymbolAtLocation(node.name);
        const binding = this.#bindingOf(symbol);
        if (binding === undefined) {
          throw misfit("nothing declares what it exports", node);
        }
        bound.push({ node, binding, written: node.name.text });
        return;
      }
      const member = this.#memberOf(node);
      if (member !== undefined) {
        bound.push(member);
        return;
      }
      if (ts.isIdentifier(node) && !isMemberName(node)) {
        const symbol = this.#symbolAt(node);
        if (symbol === undefined) free.push(node.text);
        const binding = this.#bindingOf(symbol);
        if (binding) bound.push({ node, binding, written: node.text });
        else if (symbol && this.#isModule(symbol)) {
          throw misfit(`all of ${node.text} is used as one value`, node);
        }
      }
      const reason = whyUnfit(node, this.#project.checker);
      if (reason !== undefined) throw misfit(reason, node);
      ts.forEachChild(node, visit);
    };
    visit(statement);
    return { bound, inComments, free };
  }

  #symbolAt(name: ts.Identifier): ts.Symbol | undefined {
    const { checker } = this.#project;
    return ts.isShorthandPropertyAssignment(name.parent)
      ? checker.getShorthandAssignmentValueSymbol(name.parent)
      : checker.getSymbolAtLocation(name);
  }

  /**
   * `cli.option` or, of types, `cli.Values`, where cli is one of our modules;
   * `(await import("./cli.ts")).option` is the same.
   */
  #memberOf(node: ts.Node): Reference | undefined {
    const [left, right] = ts.isPropertyAccessExpression(node)
      ? [node.expression, node.name]
      : ts.isQualifiedName(node)
      ? [node.left, node.right]
      : [node, node];
    if (left === right) return undefined;
    const module = this.#moduleNamedBy(left);
    if (module === undefined) return undefined;
    const { checker } = this.#project;
    const name = right.getText();
    const found = checker.tryGetMemberInModuleExports(
      name,
      checker.getSymbolAtLocation(module)!,
    );
    const binding = this.#bindingOf(found);
    if (binding === undefined) throw misfit(`no module declares ${name}`, node);
    return { node, binding, written: node.getText() };
  }

  #moduleNamedBy(node: ts.Node): ts.SourceFile | undefined {
    if (!ts.isIdentifier(node)) {
      return this.#project.moduleOf(loadedOnDemand(node));
    }
    const symbol = this.#symbolAt(node);
    return symbol && this.#isModule(symbol);
  }

  /** The module that a name stands for all of, by `import * as name`. */
  #isModule(symbol: ts.Symbol): ts.SourceFile | undefined {
    const [declaration] = symbol.declarations ?? [];
    return declaration && ts.isNamespaceImport(declaration)
      ? this.#project.moduleOf(declaration.parent.parent.moduleSpecifier)
      : undefined;
  }

  #bindingOf(symbol: ts.Symbol | undefined): Binding | undefined {
    const [declaration] = symbol?.declarations ?? [];
    if (symbol === undefined || declaration === undefined) return undefined;
    if (symbol.flags & ts.SymbolFlags.Alias) return this.#aliased(declaration);
    const statements = symbol.declarations!.map(statementOf);
    if (statements[0] === undefined) return undefined;
    return this.#remember(declaration, {
      name: nameOf(declaration),
      statements: [...new Set(statements.filter((each) => each !== undefined))],
    });
  }

  /** What an import or an export of something else comes to in the end. */
  #aliased(alias: ts.Declaration): Binding | undefined {
    const { checker, moduleOf } = this.#project;
    if (ts.isExportSpecifier(alias) && !alias.parent.parent.moduleSpecifier) {
      const local = checker.getExportSpecifierLocalTargetSymbol(alias);
      return this.#bindingOf(local);
    }
    const statement = ts.findAncestor(
      alias,
      (node) => ts.isImportDeclaration(node) || ts.isExportDeclaration(node),
    );
    // An unnamed default export, say.
    if (statement === undefined) {
      throw misfit("what it exports has no name", alias);
    }
    const name = ts.isImportSpecifier(alias) || ts.isExportSpecifier(alias)
      ? (alias.propertyName ?? alias.name).text
      : ts.isNamespaceImport(alias)
      ? "*"
      : "default";
    const module = moduleOf(statement.moduleSpecifier);
    if (module === undefined) return this.#imported(alias, statement, name);
    if (name === "*") return undefined;
    return this.#bindingOf(checker.tryGetMemberInModuleExports(
      name,
      checker.getSymbolAtLocation(module)!,
    ));
  }

  #imported(
    alias: ts.Declaration,
    { moduleSpecifier }: ts.ImportDeclaration | ts.ExportDeclaration,
    name: string,
  ): Binding {
    const specifier = (moduleSpecifier as ts.StringLiteral).text;
    const typeOnly = ts.isTypeOnlyImportDeclaration(alias) ||
      ts.isTypeOnlyExportDeclaration(alias);
    return this.#remember(`${specifier} ${name} ${typeOnly}`, {
      name: (alias as ts.NamedDeclaration).name!.getText(),
      statements: [],
      from: { specifier, name, typeOnly },
    });
  }

  #remember(key: ts.Node | string, binding: Binding): Binding {
    const known = this.#bindings.get(key);
    if (known === undefined) this.#bindings.set(key, binding);
    return known ?? binding;
  }
}

/**
 * Finds the doc comments of a node.
 *
 * @param node The node.
 * @returns Its doc comments as the parser has them.
 */
export function docsOf(node: ts.Node): readonly ts.JSDoc[] {
  return (node as { jsDoc?: ts.JSDoc[] }).jsDoc ?? [];
}

/** The names in `{@linkcode name}`. */
function linkedNames(doc: ts.JSDoc): ts.Identifier[] {
  return [doc, ...(doc.tags ?? [])]
    .flatMap(({ comment }) => typeof comment === "string" ? [] : comment ?? [])
    .filter((part) => ts.isJSDocLinkLike(part))
    .map((link) => link.name)
    .filter((name) => name !== undefined && ts.isIdentifier(name));
}

/** Such a name is found in a value or a type, not in a scope. */
function isMemberName(name: ts.Identifier): boolean {
  const { parent } = name;
  return ts.isPropertyAccessExpression(parent) && parent.name === name ||
    ts.isQualifiedName(parent) && parent.right === name ||
    ts.isBindingElement(parent) && parent.propertyName === name ||
    ts.isMetaProperty(parent) || ts.isBreakOrContinueStatement(parent) ||
    ts.isLabeledStatement(parent) ||
    ts.isNamedTupleMember(parent) && parent.name === name;
}

/**
 * Finds the statement that declares something at the top level.
 *
 * @param declaration What declares it, a part of a pattern maybe.
 * @returns The statement; nothing if it is a local.
 */
export function statementOf(declaration: ts.Node): ts.Statement | undefined {
  let node = declaration;
  while (
    ts.isBindingElement(node) || ts.isObjectBindingPattern(node) ||
    ts.isArrayBindingPattern(node) || ts.isVariableDeclaration(node)
  ) node = node.parent;
  if (ts.isVariableDeclarationList(node)) node = node.parent;
  if (!ts.isSourceFile(node.parent)) return undefined;
  return ts.isVariableStatement(node) || ts.isDeclarationStatement(node)
    ? node
    : undefined;
}

function nameOf(declaration: ts.Declaration): string {
  const name = ts.getNameOfDeclaration(declaration);
  if (name === undefined) {
    throw misfit("what it declares has no name", declaration);
  }
  return name.getText();
}

/** Why something cannot move to another file, if it cannot. */
function whyUnfit(
  node: ts.Node,
  checker: ts.TypeChecker,
): string | undefined {
  if (
    ts.isImportTypeNode(node) ||
    ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      !isPackage(checker.getTypeAtLocation(node.arguments[0]))
  ) return "a module is imported in the middle of it";
  const isMain = ts.isPropertyAccessExpression(node.parent) &&
    node.parent.name.text === "main";
  return ts.isMetaProperty(node) && !isMain &&
      node.keywordToken === ts.SyntaxKind.ImportKeyword
    ? "import.meta says where it is, which will be elsewhere"
    : undefined;
}

/** A package in full, `npm:name@version`, is the same wherever it is named. */
function isPackage(specifier: ts.Type): boolean {
  return specifier.isStringLiteral() && /^(npm|jsr):/.test(specifier.value);
}

/** Something does not fit in one file. */
function misfit(reason: string, node: ts.Node): Error {
  const place = placeOf(node.getSourceFile(), node.getStart());
  return new Error(`${reason} (${place})`);
}
