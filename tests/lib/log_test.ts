/** The log: which line is written when, always one line, and JSON that a program can read. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { log, logWritten } from "../../lib/command/log.ts";
import { within } from "../support/helpers.ts";

type Log = typeof log;
type LogOptions = Partial<Pick<Log, "quiet" | "verbose" | "json">>;

const PLAIN = { quiet: false, verbose: false, json: false };

/** One character of each kind that no terminal may get, and that no line may. */
const UNSAFE = [
  ..."\0\x07\b\t\n\r\x1b\x7f\x80\x85\x9b\x9f\u061c\u200e\u200f\u2028\u2029",
  ..."\u202a\u202e\u2066\u2069\ufeff\ufff9\u{e0001}\u{e007f}",
];
const UNSAFE_REGEXP =
  /[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/** What a log writes about one event of each level, to a pipe. */
async function linesOf(options: LogOptions, ...say: ((log: Log) => void)[]) {
  let written = "";
  const { write, isTerminal } = Deno.stderr;
  Deno.stderr.isTerminal = () => false;
  Deno.stderr.write = (bytes) => {
    written += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  };
  try {
    Object.assign(log, PLAIN, options);
    for (const speak of say) speak(log);
    await logWritten(false);
  } finally {
    Object.assign(Deno.stderr, { write, isTerminal });
  }
  return written.split(/(?<=\n)/);
}

const ALL = [
  (log: Log) => log.error("failed", { peer: "a:1" }),
  (log: Log) => log.info("opened", "connected", { peer: "a:1" }),
  (log: Log) => log.debug("read", "5 bytes", { peer: "a:1" }),
];

const LEVELS: [LogOptions, string[]][] = [
  [{}, ["failed\n", "connected\n"]],
  [{ quiet: true }, ["failed\n"]],
  [{ verbose: true }, ["failed\n", "connected\n", "5 bytes\n"]],
  [{ quiet: true, verbose: true }, ["failed\n", "5 bytes\n"]],
];

for (const [options, expected] of LEVELS) {
  Deno.test(`Log() with ${JSON.stringify(options)} says what it should`, async () => {
    assertEquals(await linesOf(options, ...ALL), expected);
    const records = await linesOf({ ...options, json: true }, ...ALL);
    assertEquals(
      records.map((line) => `${JSON.parse(line).message}\n`),
      expected,
    );
  });
}

Deno.test("Log() writes an event as JSON with its details", async () => {
  const lines = await linesOf(
    { json: true, verbose: true },
    ...ALL,
    (log) =>
      log.info("stats", "5 bytes", {
        bytes: 5,
        tls: false,
        gone: undefined,
      }),
  );
  const records = lines.map((line) => JSON.parse(line));
  for (const record of records) {
    assertMatch(record.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    delete record.time;
  }
  assertEquals(records, [
    { level: "error", event: "error", message: "failed", peer: "a:1" },
    { level: "info", event: "opened", message: "connected", peer: "a:1" },
    { level: "debug", event: "read", message: "5 bytes", peer: "a:1" },
    { level: "info", event: "stats", message: "5 bytes", bytes: 5, tls: false },
  ]);
});

for (const character of UNSAFE) {
  const code = character.codePointAt(0)!.toString(16).padStart(4, "0");
  Deno.test(`Log() stays one safe line whatever a peer sent: U+${code}`, async () => {
    const sent = `a${character}b \\x1b "c" é👋 ${character}`;
    const [line] = await linesOf({}, (log) => log.info("said", sent));
    assertMatch(line, /^a.*b .*\n$/);
    assert(!UNSAFE_REGEXP.test(line.slice(0, -1)), JSON.stringify(line));

    const [record] = await linesOf(
      { json: true },
      (log) => log.info("said", sent, { name: sent, [sent]: 1 }),
    );
    assertEquals(record.at(-1), "\n");
    assert(!UNSAFE_REGEXP.test(record.slice(0, -1)), JSON.stringify(record));
    const { message, name, [sent]: one } = JSON.parse(record);
    assertEquals([message, name, one], [sent, sent, 1]);
  });
}

Deno.test("Log() keeps half a surrogate pair from breaking JSON", async () => {
  const [line] = await linesOf({ json: true }, (log) => log.error("\ud83d"));
  assertEquals(JSON.parse(line).message, "\ud83d");
});

Deno.test("Log() waits for nobody, and says how many lines are lost", async () => {
  const { write, isTerminal } = Deno.stderr;
  const written: string[] = [];
  let reader = Promise.withResolvers<void>();
  Deno.stderr.isTerminal = () => false;
  Deno.stderr.write = async (bytes) => {
    await reader.promise;
    written.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  try {
    Object.assign(log, PLAIN);
    for (let i = 0; i < 5000; i++) log.info("said", `${i} `.padEnd(99, "x"));
    await within(logWritten(false)); // which gives up
    assertEquals(written, []);
    reader.resolve();
    await within(logWritten(false));
    const kept = written.join("").match(/.*\n/g)!;
    const notice = kept.pop()!;
    // What is being written, and what waits for that.
    assert(kept.length > 600 && kept.length < 1400, `${kept.length}`);
    kept.forEach((line, i) => assertEquals(Number(line.split(" ")[0]), i));
    assertEquals(
      notice,
      `${5000 - kept.length} lines of this log are lost, nobody read it\n`,
    );
    // It goes on, and does not say so again.
    reader = Promise.withResolvers();
    reader.resolve();
    written.length = 0;
    log.info("said", "more");
    await logWritten(false);
    assertEquals(written, ["more\n"]);
  } finally {
    Object.assign(Deno.stderr, { write, isTerminal });
  }
});
