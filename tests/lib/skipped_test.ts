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
  const [onLinux, ...others] = await Promise.all(
    ["linux", "darwin", "windows"].map(testsOn),
  );
  const nameOf = ({ file, name }: ListedTest) => `${file}: ${name}`;
  // What is skipped on Linux too is not the system's.
  const anywhere = new Set(onLinux.filter(({ ignore }) => ignore).map(nameOf));
  const [darwin, windows] = others.map((tests) =>
    new Map(
      tests.filter((test) => test.ignore && !anywhere.has(nameOf(test)))
        .map((test) => [nameOf(test), test.needs.join(" and ")]),
    )
  );
  const lines = [...new Set([...windows.keys(), ...darwin.keys()])].sort()
    .map((test) => {
      const systems = [
        darwin.has(test) && "macOS",
        windows.has(test) && "Windows",
      ];
      const missing = windows.get(test) ?? darwin.get(test);
      return `${systems.filter(Boolean).join(", ")}: ${test} (${missing})\n`;
    });
  if (Deno.args.includes("--write")) {
    Deno.writeTextFileSync(LIST, lines.join(""));
  }
  const text = (await Deno.readTextFile(LIST)).replaceAll("\r\n", "\n");
  const listed = text.match(/.*\n/g) ?? [];
  // With `-- --write` after its name this test writes the list anew.
  assertEquals(lines, listed);
  assertEquals(lines.filter((line) => line.endsWith(" ()\n")), []);
});
