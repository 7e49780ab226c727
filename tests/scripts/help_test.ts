/** The help of each script: how long it is, what is in it, and its examples, which are run as they are. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { run, Running, SCRIPTS } from "../support/helpers.ts";
import { redirected } from "../support/processes.ts";
import {
  inNetworks,
  Namespace,
  runInNetwork,
} from "../support/small_network.ts";
import { needs } from "../support/system.ts";

const ROOT = new URL("../../", import.meta.url);
const COLUMNS = 80;
const LINES = 40;

const HELPS: Record<string, string> = {};
for (const { name } of Deno.readDirSync(new URL("scripts", ROOT))) {
  const { stdout } = await run(name, ["--help"]);
  HELPS[name] = stdout;
}

/** The examples of a script, as commands of a shell. */
function examplesOf(script: string): string[] {
  const [, examples] = HELPS[script].split("\nExamples:\n");
  return examples.trimEnd().split("\n").map((line) => line.trim());
}

/** An example for this Deno and the scripts under test. */
function here(example: string): string {
  return example.replace(/\bdeno (?=run|task)/, `'${Deno.execPath()}' `)
    .replace(/ scripts\//, ` ${SCRIPTS}/`);
}

for (const [script, help] of Object.entries(HELPS)) {
  Deno.test(`${script} fits one screen when asked for --help`, () => {
    const lines = help.trimEnd().split("\n");
    assert(lines.length <= LINES, `${lines.length} lines`);
    assertEquals(lines.filter(({ length }) => length > COLUMNS), []);
  });

  Deno.test(`${script} has groups, permission, examples when asked for --help`, () => {
    const [, , , , first] = help.split("\n");
    assertMatch(first, /^\w[\w ]+:$/);
    for (const heading of ["Every script:\n  -v", "Permission: "]) {
      assert(help.includes(`\n${heading}`), heading);
    }
    const examples = examplesOf(script);
    assertEquals(new Set(examples).size, 3);
    for (const example of examples) {
      assertMatch(
        example,
        / (task eject|run .*--allow-net.* scripts\/\w+\.ts)/,
      );
    }
  });

  Deno.test(`${script} takes the options of its examples`, async () => {
    for (const example of examplesOf(script)) {
      const words = example.replace(/^.*(scripts\/\w+.ts|task eject) ?/, "")
        .split(" ").filter(Boolean);
      const { code, stderr } = await run(script, [...words, "--help"]);
      assertEquals([code, stderr], [0, ""], example);
    }
  });
}

/** Each example of the first with the same one of the second, and what comes. */
const PAIRS: [string, string, RegExp[]][] = [
  ["tcp_server.ts", "tcp_client.ts", [
    /^hello\n$/,
    /^Connected to 127\.0\.0\.1:1234 in .* ms\n$/,
    /^\* you are user1, 1 here\n$/,
  ]],
  ["udp_receiver.ts", "udp_sender.ts", [
    /^Sent 1 datagram \(5 B\) to udp:\/\/127\.0\.0\.1:8080 /,
    /^Sent 20 datagrams /,
    /^hi/,
  ]],
];

for (const [server, client, results] of PAIRS) {
  for (const [i, result] of results.entries()) {
    Deno.test({
      name: `${server} and ${client}: example ${i + 1} of --help works`,
      ...inNetworks,
      async fn() {
        using namespace = new Namespace();
        const [serving, asking] = [server, client]
          .map((script) => ["bash", "-c", here(examplesOf(script)[i])]);
        await using running = namespace.start(serving, { input: "open" });
        await running.stderr("Listening on ");
        await using asked = namespace.start(asking);
        const { code, stdout, stderr } = await asked.ended();
        assertEquals(code, 0, stderr);
        assertMatch(stdout + stderr, result);
      },
    });
  }
}

Deno.test({
  name: "google_connect.ts: each example of --help works",
  ...inNetworks,
  async fn() {
    const own = { A: ["127.0.0.1"], AAAA: ["::1"] };
    const zone = { "www.google.com": own, "example.com": own };
    const results = [/200 OK/, /:443\): nobody listens there/, / 200 OK"/];
    for (const [i, example] of examplesOf("google_connect.ts").entries()) {
      const words = example.split(" ");
      const at = words.findIndex((word) => word.endsWith(".ts"));
      const permissions = words.slice(2, at);
      const network = { zone, web: ["127.0.0.1", "::1"], permissions };
      const args = words.slice(at + 1);
      const ended = await runInNetwork(network, "google_connect.ts", args);
      const said = ended.stdout + ended.stderr;
      assertMatch(said, results[i], said);
    }
  },
});

Deno.test("eject.ts: each example of --help works", async () => {
  const folder = await Deno.makeTempDir({ prefix: "help_" });
  try {
    for (const example of examplesOf("eject.ts")) {
      const args = example.replace("/tmp", folder).split(" ").slice(1);
      await using running = new Running(Deno.execPath(), args);
      const { code, stderr } = await running.ended();
      assertEquals(code, 0, stderr);
    }
    const written = Deno.readDirSync(folder).map(({ name }) => name).toArray();
    assertEquals(written.length, 4);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test(
  "tcp_client.ts --help says in words that it cannot be written when the disk is full",
  needs("linux", "bash"),
  async () => {
    const help = ["--help"];
    await using running = redirected("> /dev/full", "tcp_client.ts", help);
    const { code, stderr } = await running.ended();
    const said = "tcp_client: Cannot write to standard output: there is no ";
    assertEquals([code, stderr], [1, `${said}space left on the device\n`]);
  },
);
