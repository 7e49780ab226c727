/** The package as it would be published: the scripts and their library. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

Deno.test("deno publish --dry-run finds nothing wrong and packs no tests, stand-ins or eject", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const said = new TextDecoder().decode(stderr);
  assertEquals(code, 0, said);
  // The client for NATS has its whole name there, and is fetched when needed:
  // that nobody can see it before is the point.
  const complaints = said.match(/^(warning|error).*\n.*/gm) ?? [];
  assertEquals(
    complaints.map((text) => text.replace(/\S*\/(\w+\.ts):.*/, "$1")),
    ["warning[unanalyzable-dynamic-import]: unable to analyze dynamic import\n   --> relay.ts"],
    said,
  );
  const files = said.matchAll(/^ +(file:\S+)/gm).map(([, url]) =>
    url.slice(ROOT.href.length)
  ).toArray();
  assert(files.includes("lib/tcp.ts") && files.includes("README.md"), said);
  const others = files.filter((file) =>
    !/^(lib|scripts)\/[\w/]+\.ts$|^lib\/explain\/\w+\.(html|txt)$|^README\.md$|^LICENSE$|^deno\.(json|lock)$/
      .test(file) || /eject|lib\/std/.test(file)
  );
  assertEquals(others, []);
});
