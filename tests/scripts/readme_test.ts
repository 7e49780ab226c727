/**
 * The README, followed from top to bottom: what it says to type is typed, and
 * what it shows has to come. Each of its blocks of code is one of these:
 *
 * - `console`: a terminal, as it looks in the end. After the prompts `$ `, `> `
 *   and ` -> ` comes what is typed; `^C` is Ctrl-C. The terminals of a section
 *   are open side by side: a next one from when the last command of the one
 *   above has shown its first line.
 * - `ts`: a file, which its first line names. It is checked, and run by a
 *   terminal of the same section.
 * - `sh`: commands that other tests run, or that are too long for a test.
 *
 * All of it happens in a copy of the collection, with free ports in place of
 * those of the README.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { hasOpenssl } from "../support/certificates.ts";
import { installed, run, Running } from "../support/helpers.ts";
import { canMakeNetworks, runInNetwork } from "../support/small_network.ts";
import { readToEnd, serving } from "../support/sockets.ts";
import { screenOf } from "../support/screen.ts";
import { has, needs } from "../support/system.ts";

const ROOT = `${import.meta.dirname}/../..`;
const README = readText("README.md");
const TERMINAL = `${ROOT}/tests/support/python/terminal.py`;

/** The reader's home, and in it what the README calls this folder. */
const HOME = Deno.makeTempDirSync({ prefix: "readme_" });
const COPY = `${HOME}/socket-scripts`;

interface Block {
  language: string;
  text: string;
}

interface Section {
  title: string;
  blocks: Block[];
}

const SECTIONS: Section[] = README.split(/^(?=##+ )/m).map((text) => ({
  title: /^#+ (.*)/.exec(text)![1],
  blocks: text.matchAll(/^```(\S*)\n(.*?)^```$/gms)
    .map(([, language, text]) => ({ language, text })).toArray(),
}));

function readText(path: string): string {
  return Deno.readTextFileSync(`${ROOT}/${path}`).replaceAll("\r\n", "\n");
}

/** The blocks of one language. */
function blocks(language: string, { blocks }: { blocks: Block[] }): string[] {
  return blocks.filter((block) => block.language === language)
    .map(({ text }) => text);
}

/** What differs from one run to the next, and what a screen has in its place. */
const RULES: [RegExp, string][] = [
  [/ *\b\d+(\.\d+)? (ms|us|s)\b/g, " TIME"],
  [/\b\d+(\.\d+)? [kM]?B\/s/g, "RATE"],
  [
    /((?:127\.0\.0\.1|0\.0\.0\.0|\[::1\]):)(?!1234\b|8080\b|0\b)\d{4,5}\b/g,
    "$1PORT",
  ],
  [/(127\.0\.0\.1", )(?!1234|8080)\d+/g, "$1PORT"],
  [/[▏▎▍▌▋▊▉█ ]*[▏▎▍▌▋▊▉█]+ */g, " BAR"],
  // As many rows as there were times between two datagrams.
  [/(^ TIME - TIME.*\n)+/gm, "HISTOGRAM\n"],
  [/\b\d+ lines\b/g, "LINES"],
];

/** A screen without what differs from one run to the next. */
function settled(screen: string): string {
  return RULES.reduce((text, rule) => text.replaceAll(...rule), screen);
}

/** The ports of the README, and those in their place. */
class Ports {
  #ours = new Map([["1234", freePort()], ["8080", freePort()]]);

  /** What the reader of the copy sees for what the README has. */
  replace(text: string): string {
    return text.replace(/\b(1234|8080)\b/g, (port) => this.#ours.get(port)!);
  }

  /** What the README has for what the reader of the copy sees. */
  restore(text: string): string {
    for (const [port, ours] of this.#ours) text = text.replaceAll(ours, port);
    return text.replaceAll(HOME, "/home/you");
  }
}

/** A port below those that the system gives to other tests. */
function freePort(): string {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return String(port);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** A shell in a terminal, where a block of the README is typed. */
class Terminal implements AsyncDisposable {
  #shell: Running;
  #ports: Ports;
  #block: string;

  constructor(block: string, ports: Ports) {
    // A shell in between, as pyenv has one, may drop prompts from outside.
    const prompts = ["env", "PS1=$ ", "PS2=> "];
    const bash = ["bash", "--noprofile", "--norc", "--noediting"];
    this.#block = block;
    this.#ports = ports;
    this.#shell = new Running("python3", [TERMINAL, ...prompts, ...bash], {
      input: "open",
      cwd: COPY,
      env: environment(),
    });
  }

  /** Types what the block has typed, each when the screen is as far as that. */
  async play(started: () => void): Promise<void> {
    const [begun] = /[^]*^\$ .*\n(?:> .*\n)*.*\n?/m.exec(this.#block)!;
    this.#shows(begun, { andMore: true }).then(started, () => {});
    const typed = this.#block.matchAll(/(?<=^(?:\$ |> | -> )).+|^\^C/gm);
    for (const { index, 0: text } of typed) {
      await this.#shows(this.#block.slice(0, index));
      await this.#shell.type(
        text === "^C" ? "\x03" : `${this.#ports.replace(text)}\n`,
      );
    }
    await this.#shows(this.#end);
    started();
  }

  /** The whole screen: but for servers, the last prompt is there again. */
  get #end(): string {
    const last = this.#block.split(/^\$ /m).at(-1)!;
    const serves = /^Listening on/m.test(last) && !/^\^C|--count/m.test(last);
    return serves ? this.#block : `${this.#block}$ `;
  }

  /** Waits until the screen shows something. */
  async #shows(something: string, { andMore = false } = {}): Promise<void> {
    let screen = "";
    const wanted = settled(something);
    const test = (output: string) => {
      screen = settled(this.#ports.restore(screenOf(output)));
      return andMore ? screen.startsWith(wanted) : screen === wanted;
    };
    try {
      await this.#shell.stdout({ test });
    } catch {
      assertEquals(screen, wanted);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shell[Symbol.asyncDispose]();
  }
}

/** The reader's home and cache, and Deno at hand as the README has it. */
function environment(): Record<string, string> {
  const deno = Deno.execPath().replace(/\/[^/]*$/, "");
  const PATH = `${HOME}/.deno/bin:${deno}:${Deno.env.get("PATH")}`;
  return { HOME, PATH, DENO_DIR: cache(), DENO_INSTALL_ROOT: `${HOME}/.deno` };
}

/** Where Deno keeps what it has fetched: a new home has nothing yet. */
function cache(): string {
  return JSON.parse(output("info", "--json")).denoDir;
}

/** Runs Deno in the copy; gives what it printed. */
function output(...args: string[]): string {
  const { code, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args,
    cwd: COPY,
  }).outputSync();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** Writes the scripts of the copy with the ports of a section. */
function useInScripts(ports: Ports): void {
  for (const { name } of Deno.readDirSync(`${ROOT}/scripts`)) {
    const source = ports.replace(readText(`scripts/${name}`));
    Deno.writeTextFileSync(`${COPY}/scripts/${name}`, source);
  }
}

/** Writes a file that the README shows, where its first line says. */
function writeFile(text: string, ports: Ports): string {
  const name = /^\/\/ (\S+)\n/.exec(text)?.[1];
  assert(name, `no file is named in the first line of\n${text}`);
  const path = `${COPY}/${name}`;
  Deno.mkdirSync(path.replace(/\/[^/]*$/, ""), { recursive: true });
  Deno.writeTextFileSync(path, ports.replace(text));
  return name;
}

/** Plays the terminals of a section, side by side. */
async function play(section: Section): Promise<void> {
  const ports = new Ports();
  useInScripts(ports);
  for (const text of blocks("ts", section)) {
    const name = writeFile(text, ports);
    output("check", "--quiet", name);
    const run = blocks("console", section).some((text) => text.includes(name));
    assert(run, `no terminal of the section runs ${name}`);
  }
  await using terminals = new AsyncDisposableStack();
  const plays: Promise<void>[] = [];
  for (const text of blocks("console", section)) {
    const started = Promise.withResolvers<void>();
    const terminal = terminals.use(new Terminal(text, ports));
    plays.push(terminal.play(started.resolve));
    await Promise.race([started.promise, Promise.all(plays)]);
  }
  await Promise.all(plays);
}

/** What the name server of the small network knows. */
const ZONE = { "www.google.com": { A: ["127.0.0.1"], AAAA: ["::1"] } };

/** Where a web server is asked, it is one in a network of its own. */
async function playInNetwork(section: Section): Promise<void> {
  const network = { zone: ZONE, web: ["127.0.0.1", "::1"] };
  const script = "deno run --allow-net scripts/google_connect.ts";
  for (const block of blocks("console", section)) {
    let screen = "";
    for (const [, command] of block.matchAll(/^\$ (.*)/gm)) {
      const args = command.slice(script.length).split(" ").slice(1);
      const ended = await runInNetwork(network, "google_connect.ts", args);
      screen += `$ ${[script, ...args].join(" ")}\n`;
      screen += ended.stdout + ended.stderr;
    }
    assertEquals(settled(screen), settled(block));
  }
}

/** Runs a test for what a language of the README's blocks means. */
function testBlocks(
  language: string,
  does: string,
  check: (text: string) => void,
) {
  Deno.test(`README: each ${language} block ${does}`, () => {
    for (const section of SECTIONS) blocks(language, section).forEach(check);
  });
}

const canPlay = has("linux", "bash") && installed("python3", "-V");

Deno.test.beforeAll(() => {
  if (!canPlay) return;
  Deno.mkdirSync(COPY);
  for (const part of ["deno.json", "deno.lock", "lib", "scripts"]) {
    const args = ["-r", `${ROOT}/${part}`, COPY];
    assert(new Deno.Command("cp", { args }).outputSync().success);
  }
});

Deno.test.afterAll(() => Deno.removeSync(HOME, { recursive: true }));

for (const section of SECTIONS) {
  const screens = blocks("console", section).join();
  if (screens === "") continue;
  const inNetwork = screens.includes("google_connect.ts\n");
  const missing = screens.includes("$ openssl ") && !hasOpenssl;
  Deno.test({
    name: `README: ${section.title}: what it types shows what it shows`,
    ...needs("linux"),
    ignore: inNetwork ? !canMakeNetworks : !canPlay || missing,
    fn: () => inNetwork ? playInNetwork(section) : play(section),
  });
}

Deno.test("README: each block of code is of a kind that is checked", () => {
  const kinds = [
    ...["console", "sh", "ts"],
  ];
  const all = SECTIONS.flatMap(({ blocks }) => blocks);
  for (const { language } of all) assert(kinds.includes(language), language);
  assertEquals(README.match(/^\s*(```|~~~)/gm)!.length, 2 * all.length);
  const prose = README.replace(/^```.*?^```$/gms, "");
  assertEquals(prose.match(/^( {4}|\t)/gm), null, "a block without a fence");
});

testBlocks("sh", "starts a script or a task", (text) => {
  const start = "(npx --yes deno@[\\d.]+|deno)";
  assertMatch(
    text,
    RegExp(`^(${start} (task|run --allow-net scripts/) ?.*\n)+$`),
  );
});

Deno.test("README: each task is one that there is", () => {
  const { tasks } = JSON.parse(readText("deno.json"));
  for (const [, task] of README.matchAll(/\bdeno task ([\w:]+)/g)) {
    assert(task in tasks, task);
  }
});

Deno.test("README: Deno has the version that CI has", () => {
  const [, version] = /^deno_version=(.*)$/m.exec(readText(".ci/run"))!;
  const named = README.match(/deno@[\d.]+/g)!;
  for (const each of named) assertEquals(each, `deno@${version}`);
});

Deno.test("README: each framing puts on the wire what its table shows", async () => {
  const rows = README.matchAll(
    /^\| `(\S+)` +\| `([0-9a-f ]+)` +\| (?:`([0-9a-f ]+)`)? /gm,
  ).toArray();
  assertEquals(rows.length, 10);
  let sent = "";
  await using server = serving(async (conn) => {
    sent = (await readToEnd(conn)).toHex();
  });
  for (const [, name, ...shown] of rows) {
    for (const [i, message] of ["hello", ""].entries()) {
      // Raw is as it comes; what is sent as a line would end as one.
      const send = name === "raw" ? [] : ["--send", message];
      const args = [server.address, "-f", name, ...send];
      const { code } = await run("tcp_client.ts", args, { input: message });
      assertEquals(code, 0);
      assertEquals(sent, (shown[i] ?? "").replaceAll(" ", ""), name);
    }
  }
});

/** What stands in the text as code. */
const INLINE = README.replace(/^```.*?^```$/gms, "").matchAll(/`([^`\n]+)`/g)
  .map(([, code]) => code).toArray();

Deno.test({
  name: "README: each command in the text is one that its script takes",
  ...needs("linux", "bash"),
  ignore: !canPlay,
  fn() {
    const commands = INLINE.filter((code) => /^scripts\/\w+\.ts /.test(code));
    assert(commands.length > 15);
    for (const command of commands) {
      const [, words] = /^([^<]*)/.exec(command)!;
      const args = words.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)
        .map(([, ...texts]) => texts.find(Boolean)!).toArray();
      output("run", "--quiet", "--no-prompt", ...args, "--help");
    }
  },
});

Deno.test({
  name: "README: each option in the text is one that there is",
  ...needs("linux", "bash"),
  ignore: !canPlay,
  fn() {
    const scripts = Deno.readDirSync(`${ROOT}/scripts`).toArray();
    const helps = scripts.map(({ name }) =>
      output("run", "--quiet", `scripts/${name}`, "--help")
    ).join();
    const ours = new Set(helps.match(/--[a-z-]+/g));
    const options = INLINE.filter((code) => code.startsWith("--"))
      .flatMap((code) => code.match(/--[a-z][a-z-]+/g)!);
    for (const option of options) {
      const denos = /^--(allow|no-prompt|unstable-net)/.test(option);
      assert(denos || ours.has(option), option);
    }
  },
});

Deno.test("README: each link to a file or a chapter leads there", () => {
  const chapters = SECTIONS.map(({ title }) =>
    title.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-")
  );
  for (const [, target] of README.matchAll(/\]\(([^)]+)\)/g)) {
    if (target.startsWith("https:")) continue;
    if (!target.startsWith("#")) Deno.statSync(`${ROOT}/${target}`);
    else assert(chapters.includes(target.slice(1)), target);
  }
});
