/** A command's frame: every form of an option, each complaint, help, exit codes, signals. */
import { assert, assertEquals } from "@std/assert";
import { runCommand, VERSION } from "../../lib/command/command.ts";
import { command, END } from "./command_child.ts";
import { Running } from "../support/helpers.ts";
import { needs } from "../support/system.ts";

type Given = Parameters<typeof command.run>[0];

const DEFAULTS: Given["options"] = {
  mode: "echo",
  maxFrame: undefined,
  count: 1,
  text: [],
  even: undefined,
  once: false,
  noStdin: false,
};

/** What is typed, and what of it differs from the defaults. */
const GOOD: [string[], Partial<Given["options"]>, string[]?][] = [
  [[], {}],
  [["--mode", "chat"], { mode: "chat" }],
  [["--mode=chat"], { mode: "chat" }],
  [["-m", "chat"], { mode: "chat" }],
  [["--max-frame", "64k"], { maxFrame: 65_536 }],
  [["--max-frame=1m"], { maxFrame: 1_048_576 }],
  [["--once"], { once: true }],
  [["--no-stdin"], { noStdin: true }],
  [["--no-stdin", "true"], { noStdin: true }, ["true"]],
  [["--once", "false"], { once: true }, ["false"]],
  [["-qv", "word"], {}, ["word"]],
  [["-qvc", "7", "word"], { count: 7 }, ["word"]],
  [["-mchat", "-qc7"], { mode: "chat", count: 7 }],
  [["-c=7"], { count: 7 }],
  [["-c", "7", "-m", "chat"], { count: 7, mode: "chat" }],
  [["--text", ""], { text: [""] }],
  [["--text="], { text: [""] }],
  [["--text", "", "word"], { text: [""] }, ["word"]],
  [["--text", "-v"], { text: ["-v"] }],
  [["--text", "--once"], { text: ["--once"] }],
  [["--text", "--", "--once"], { text: ["--"], once: true }],
  [["--text=--once"], { text: ["--once"] }],
  [["--text", "a=b", "--text=c=d"], { text: ["a=b", "c=d"] }],
  [["--text", "one\ntwo", "--text=\n"], { text: ["one\ntwo", "\n"] }],
  [["--text", "007", "--text=1e3"], { text: ["007", "1e3"] }],
  [["--text", "true", "--text=false"], { text: ["true", "false"] }],
  [["--text", "é 👋"], { text: ["é 👋"] }],
  [["--count", "2", "--count=3"], { count: 3 }],
  [["-m", "chat", "--mode", "echo"], { mode: "echo" }],
  [["--even", "4"], { even: 4 }],
  [["one", "two"], {}, ["one", "two"]],
  [["one", "--once", "two"], { once: true }, ["one", "two"]],
  [["80", "--once"], { once: true }, ["80"]],
  [["-"], {}, ["-"]],
  [[""], {}, [""]],
  [["--", "-v", "--once"], {}, ["-v", "--once"]],
  [["-c", "2", "--", "--"], { count: 2 }, ["--"]],
  [["one", "--"], {}, ["one"]],
];

for (const [args, changed, words = []] of GOOD) {
  Deno.test(`runCommand() reads ${JSON.stringify(args)}`, async () => {
    let given: Given | undefined;
    const run = (invocation: Given) => {
      given = invocation;
      return Promise.resolve();
    };
    const codes: unknown[] = [];
    const { exit } = Deno;
    Deno.exit = ((code) => codes.push(code)) as typeof exit;
    await runCommand({ ...command, run }, args).finally(() => Deno.exit = exit);
    assertEquals(codes, [0]);
    const options = Object.entries(given!.options).filter(([name]) =>
      name in DEFAULTS
    );
    assertEquals(Object.fromEntries(options), { ...DEFAULTS, ...changed });
    assertEquals(given!.positionals, words);
  });
}

/** What is typed, and what is wrong with it. */
const WRONG: [string[], string][] = [
  [["--mdoe", "chat"], "there is no option --mdoe; did you mean --mode?"],
  [["--mdoe=chat"], "there is no option --mdoe; did you mean --mode?"],
  [
    ["--maxframe=1"],
    "there is no option --maxframe; did you mean --max-frame?",
  ],
  [["--maxFrame"], "there is no option --maxFrame; did you mean --max-frame?"],
  [["--stdin"], "there is no option --stdin"],
  [["--no-once"], "there is no option --no-once; did you mean --once?"],
  [["--v"], "there is no option --v"],
  [["--nonsense"], "there is no option --nonsense"],
  [[`--${"x".repeat(300)}`], `there is no option --${"x".repeat(300)}`],
  [
    ["--allow-net=:1234"],
    "there is no option --allow-net; what Deno is to allow stands before the script's name",
  ],
  [["--helpp"], "there is no option --helpp; did you mean --help?"],
  [["--c=5"], "there is no option --c"],
  [["-y"], "there is no option -y"],
  [["-vy"], "there is no option -y"],
  [
    ["-k"],
    "there is no option -k; serving one client after the other is the default",
  ],
  [
    ["-vw5"],
    "there is no option -w; tcp_client.ts has --timeout and --idle-timeout",
  ],
  [["--ssl"], "there is no option --ssl; write tls:// before the address"],
  [
    ["--exec=sh"],
    "there is no option --exec; no program is started for a client",
  ],
  [["-é"], "there is no option -é"],
  [["-1"], "there is no option -1"],
  [["--mode"], "--mode needs a value, MODE"],
  [["-m"], "-m needs a value, MODE"],
  [["-vqc"], "-c needs a value, N"],
  [["one", "--max-frame"], "--max-frame needs a value, SIZE"],
  [["--mode="], "--mode must be echo or chat, not "],
  [["--mode", "Echo"], "--mode must be echo or chat, not Echo"],
  [["-c", "0"], "--count must be a whole number from 1 to 9, not 0"],
  [["-c", "-5"], "--count must be a whole number from 1 to 9, not -5"],
  [
    ["--max-frame", "big"],
    "--max-frame must be a size, as in 512, 64k or 1m, not big",
  ],
  [["--even", "3"], "--even cannot be odd: 3"],
  [["--once=yes"], "--once takes no value"],
  [["--verbose=false"], "--verbose takes no value"],
  [["-v=1"], "--verbose takes no value"],
  [
    ["one", "two", "three"],
    'there is one argument too many: "three"; an address is one word, as in 127.0.0.1:1234',
  ],
  [
    ["1", "2", "--", "-v"],
    'there is one argument too many: "-v"; an address is one word, as in 127.0.0.1:1234',
  ],
  [
    ["--mo\nde"],
    "there is no option --mo\\x0ade; did you mean --mode?",
  ],
];

const HELP = `Shows what a command is.

Usage: example.ts [options] [FAULT] [WORD]

What it does:
  -m --mode MODE              echo or chat (echo)
     --max-frame SIZE         longest message
  -c --count N                how many (1)
     --text TEXT              may be repeated
     --even N                 an even number
When it ends:
     --once                   only once
     --no-stdin               only listen
Every script:
  -v --verbose  -q --quiet  --json (log as JSON)  -h --help  -V --version
  --explain[=page] (tell each socket call, or show it in the browser)

Examples:
  example.ts closed
`;

/** What is typed, the exit code, and what comes out on the two streams. */
const OUTCOMES: [string[], number, string, string][] = [
  ...WRONG.map(([args, message]): [string[], number, string, string] => [
    args,
    2,
    "",
    `example: ${message} (--help says what there is)\n`,
  ]),
  [["--help"], 0, HELP, ""],
  [["-h"], 0, HELP, ""],
  [["-vh", "network", "too", "many"], 0, HELP, ""],
  [["-V"], 0, `example ${VERSION}\n`, ""],
  [["--version", "network"], 0, `example ${VERSION}\n`, ""],
  [[], 0, "", "at work\n"],
  [["-v"], 0, "", "at work\nto be exact\n"],
  [["-q"], 0, "", ""],
  [["-q", "closed"], 0, "", ""],
  [["-q", "stop"], 0, "", ""],
  [
    ["-q", "full"],
    1,
    "",
    "example: Cannot write to standard output: there is no space left on the device\n",
  ],
  [
    ["-q", "usage"],
    2,
    "",
    "example: no such thing (--help says what there is)\n",
  ],
  [
    ["-q", "network"],
    1,
    "",
    "example: Cannot connect to [::1]:1: nobody\n",
  ],
  [
    ["-q", "forged"],
    1,
    "",
    "example: peer said\\x0aerror: \\x1b[2Jall is well\n",
  ],
];

function child(...args: string[]): Running {
  return new Running(Deno.execPath(), [
    "run",
    "--quiet",
    "--no-prompt",
    "tests/lib/command_child.ts",
    ...args,
  ]);
}

Deno.test("runCommand() answers on the real streams, in a line an error", async (t) => {
  const lines = OUTCOMES.map(([args]) => args);
  await using running = child(JSON.stringify(lines));
  const { code, stdout, stderr } = await running.ended();
  assertEquals(code, 1); // that of the last one
  const [printed, said] = [stdout, stderr].map((all) => all.split(`${END}\n`));
  assertEquals([printed.pop(), said.pop()], ["", ""]);
  assertEquals([printed.length, said.length], [lines.length, lines.length]);
  for (const [i, [args, code, out, err]] of OUTCOMES.entries()) {
    await t.step(JSON.stringify(args), () => {
      assertEquals([printed[i], said[i]], [out, `${err}code ${code}`]);
    });
  }
});

Deno.test("runCommand() logs JSON where it is asked to", async () => {
  await using running = child(JSON.stringify([["--json", "network"]]));
  const { code, stderr } = await running.ended();
  assertEquals(code, 1);
  const records = stderr.split("\n").slice(0, 2).map((line) =>
    JSON.parse(line)
  );
  for (const record of records) {
    assert(Math.abs(Date.parse(record.time) - Date.now()) < 60_000);
    delete record.time;
  }
  assertEquals(records, [
    { level: "info", event: "started", message: "at work", fault: "network" },
    {
      level: "error",
      event: "error",
      message: "example: Cannot connect to [::1]:1: nobody",
    },
  ]);
});

Deno.test("runCommand() takes a reader that has gone for no fault", async () => {
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      "tests/lib/command_child.ts",
      '[["-h"]]',
      "closed",
    ],
    cwd: new URL("../../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await process.stdout.cancel();
  await process.stdin.close();
  const stderr = await new Response(process.stderr).text();
  assertEquals(stderr, `code 0${END}\n`);
  assertEquals((await process.status).code, 0);
});

Deno.test("VERSION is that of deno.json", async () => {
  const file = new URL("../../deno.json", import.meta.url);
  assertEquals(JSON.parse(await Deno.readTextFile(file)).version, VERSION);
});

const SIGNALS = [["SIGINT", 130], ["SIGTERM", 143]] as const;

for (const [name, code] of SIGNALS) {
  Deno.test({
    name: `stopSignal() is aborted by ${name}, and a second one ends all`,
    ...needs("signals"),
    async fn() {
      await using running = child("signals");
      await running.stdout("ready\n");
      running.process.kill(name);
      await running.stdout(`Error stopped by ${name}\n`);
      running.process.kill(name);
      assertEquals((await running.ended()).code, code);
    },
  });
}

Deno.test({
  name: "stopSignal() lets the process end when its work has",
  ...needs("signals"),
  async fn() {
    await using running = child("signals", "once");
    await running.stdout("ready\n");
    running.process.kill("SIGTERM");
    assertEquals((await running.ended()).code, 0);
  },
});
