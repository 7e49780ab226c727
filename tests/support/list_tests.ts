/**
 * Prints as JSON which tests there are, and which of them are skipped: nothing
 * is run, and every program that a test asks for counts as installed, so that
 * only the system decides. Run it with `as_system.ts` for another system.
 *
 * @module
 */

/** A test, as it says of itself. */
export interface ListedTest {
  file: string;
  name: string;
  ignore: boolean;
  /** What the system lacks for it, as `needs()` in system.ts has it. */
  missing: string[];
}

if (import.meta.main) {
  const tests: ListedTest[] = [];
  let file = "";

  /** Takes what `Deno.test` takes, in any order. */
  const register = (...given: unknown[]) => {
    const test = { name: "", ignore: false, missing: [] };
    for (const part of given) {
      if (typeof part === "string") test.name = part;
      else if (typeof part === "object") Object.assign(test, part);
    }
    const { name, ignore, missing } = test;
    tests.push({ file, name, ignore, missing });
  };
  const nothing = () => {};
  Object.assign(Deno, {
    test: Object.assign(register, {
      ignore: nothing,
      beforeAll: nothing,
      afterAll: nothing,
      beforeEach: nothing,
      afterEach: nothing,
    }),
  });

  const ended = { success: true, code: 0, signal: null };
  const output = {
    ...ended,
    stdout: new Uint8Array(),
    stderr: new Uint8Array(),
  };
  // What is spawned is real: some tests are made from what a script prints.
  Deno.Command = class extends Deno.Command {
    override outputSync = () => output;
    override output = () => Promise.resolve(output);
  } as unknown as typeof Deno.Command;

  const root = new URL("../", import.meta.url);
  for (const folder of ["lib", "scripts", "peers"]) {
    const names = [...Deno.readDirSync(new URL(folder, root))]
      .map(({ name }) => name).filter((name) => name.endsWith("_test.ts"));
    for (const name of names.sort()) {
      file = `${folder}/${name}`;
      await import(new URL(file, root).href);
    }
  }
  console.log(JSON.stringify(tests));
  Deno.exit(0); // whatever a module may have begun
}
