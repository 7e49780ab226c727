/** The package as it would be published: the scripts and their library. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

Deno.test("deno publish --dry-run finds nothing to say and packs no tests, stand-ins or eject", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const said = new TextDecoder().decode(stderr);
  assertEquals(code, 0, said);
  assert(!/warning|error/.test(said), said);
  const files = said.matchAll(/^ +(file:\S+)/gm).map(([, url]) =>
    url.slice(ROOT.href.length)
  ).toArray();
  assert(files.includes("lib/tcp.ts") && files.includes("README.md"), said);
  const others = files.filter((file) =>
    !/^(lib|scripts)\/\w+\.ts$|^README\.md$|^deno\.(json|lock)$/.test(file) ||
    /eject/.test(file)
  );
  assertEquals(others, []);
});
