/** Which tests are skipped on which system: none by accident, and each because of something that is named. */
import { assertEquals } from "@std/assert";
import type { ListedTest } from "../support/list_tests.ts";

const SUPPORT = new URL("../support/", import.meta.url);
/** A line a test: where it is skipped, its file, its name, what is missing. */
const LIST = new URL("skipped.txt", SUPPORT);

/** All tests, as they say of themselves on a system. */
async function testsOn(os: string): Promise<ListedTest[]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", "--unstable-net"]
      .concat("--preload", `${new URL("as_system.ts", SUPPORT)}?${os}`)
      .concat(new URL("list_tests.ts", SUPPORT).href),
    env: { NO_COLOR: "1" },
  });
  const { stdout, stderr } = await child.output();
  if (stdout.length === 0) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("tests/support/skipped.txt lists what is skipped on which system", async () => {
  const [linux, darwin, windows] = await Promise.all(
    ["linux", "darwin", "windows"].map(testsOn),
  );
  // The same tests in the same order; a name may have a port in it.
  assertEquals([darwin.length, windows.length], [linux.length, linux.length]);
  const lines = linux.flatMap(({ file, name, ignore }, i) => {
    const [onDarwin, onWindows] = [darwin[i], windows[i]];
    // What is skipped on Linux too, this machine has not.
    for (const test of ignore ? [] : [onDarwin, onWindows]) {
      assertEquals(test.ignore, test.missing.length > 0, `${file}: ${name}`);
    }
    const systems = [
      ...onDarwin.missing.length > 0 ? ["macOS"] : [],
      ...onWindows.missing.length > 0 ? ["Windows"] : [],
    ];
    const missing = new Set([...onDarwin.missing, ...onWindows.missing]);
    const text = `${systems.join(", ")}: ${file}: ${name}`;
    return missing.size > 0
      ? [`${text} (${[...missing].join(" and ")})\n`]
      : [];
  });
  if (Deno.args.includes("--write")) {
    Deno.writeTextFileSync(LIST, lines.join(""));
  }
  const text = (await Deno.readTextFile(LIST)).replaceAll("\r\n", "\n");
  const listed = text.match(/.*\n/g) ?? [];
  // With `-- --write` after its name this test writes the list anew.
  assertEquals(lines, listed);
});
