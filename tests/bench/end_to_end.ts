/**
 * Puts the scripts beside what people would use instead, in one run, and prints
 * a table of ratios. Absolute figures drift from minute to minute; ratios of
 * figures taken in turn do so less.
 *
 *     deno task bench:end-to-end                 every row, medians of five
 *     deno task bench:end-to-end --repeats=1 memory room     rows by a word
 *
 * Linux; gcc for the load; peers that are not installed are left out.
 *
 * @module
 */
import { installed } from "../support/helpers.ts";
import {
  Background,
  type CommandLine,
  figure,
  finish,
  freePort,
  serving,
} from "./measure.ts";

/** Somebody who can do what a row measures. */
interface Contender {
  name: string;
  /** Measures once. */
  measure(): Promise<number>;
}

/** A row of the table. Ours is the first contender. */
interface Row {
  what: string;
  unit: string;
  /** Whether less is better: seconds, bytes. */
  less?: boolean;
  contenders: Contender[];
}

const FOLDER = new URL("./", import.meta.url).pathname;
const LOAD = await Deno.makeTempFile({ prefix: "load-" });
await finish(["gcc", "-O2", "-o", LOAD, `${FOLDER}load.c`]);

const DENO = ["deno", "run", "--no-prompt", "--allow-net"];
const HAS: Record<string, boolean> = {
  node: installed("node", "--version"),
  python3: installed("python3", "--version"),
  socat: installed("socat", "-V"),
  ncat: installed("ncat", "--version"),
};

/**
 * Python itself: `python3` may be a script that looks for it, and slow. The
 * system's own may start twice as fast as one that somebody has built.
 */
const PYTHON = HAS.python3
  ? (await finish(["python3", "-c", "import sys; print(sys.executable)"]))
    .printed.trim()
  : "python3";

const SYSTEM_PYTHON = "/usr/bin/python3";
HAS[SYSTEM_PYTHON] = installed(SYSTEM_PYTHON, "--version");

function load(...args: (string | number)[]): CommandLine {
  return [LOAD, ...args.map(String)];
}

function script(name: string, ...args: (string | number)[]): CommandLine {
  return [...DENO, `${FOLDER}../../scripts/${name}.ts`, ...args.map(String)];
}

/** A program of `peers/`, run as its ending says. */
function peer(file: string, ...args: (string | number)[]): CommandLine {
  const run = file.endsWith(".ts")
    ? DENO
    : [file.endsWith(".py") ? PYTHON : "node"];
  return [...run, `${FOLDER}peers/${file}`, ...args.map(String)];
}

type CommandOnPort = (port: number) => CommandLine;

function ours(...args: string[]): CommandOnPort {
  return (port) =>
    script(
      "tcp_server",
      `127.0.0.1:${port}`,
      "--quiet",
      "--max-connections=20000",
      ...args,
    );
}

/** Servers by the name that the table has for them. */
const SERVERS: Record<string, CommandOnPort> = {
  "ours": ours(),
  "ours, raw": ours(),
  "ours, lines": ours("--framing=lines"),
  "our room": ours("--mode=room"),
  "C epoll": (port) => load("echo", port),
  "Node net": (port) => peer("node_echo.mjs", port),
  "asyncio": (port) => peer("python_echo.py", port),
  "bare Deno": (port) => peer("deno_echo.ts", port),
  "bare loop": (port) => peer("deno_loop.ts", port),
  "socat": (port) => [
    "socat",
    `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096`,
    "PIPE",
  ],
  "ncat --chat": (port) =>
    `ncat -l -k -m 1000 --chat 127.0.0.1 ${port}`.split(" "),
};

/** Clients that are given the port of an echo server. */
const CLIENTS: Record<string, CommandOnPort> = {
  "ours": (port) =>
    script("tcp_client", `127.0.0.1:${port}`, "--send", "hello"),
  "our pipe": (port) => script("tcp_client", `127.0.0.1:${port}`),
  "bare Deno": (port) => peer("deno_client.ts", port),
  "Python": (port) => peer("python_client.py", port),
  "system's Python": (port) => [
    SYSTEM_PYTHON,
    `${FOLDER}peers/python_client.py`,
    `${port}`,
  ],
  "socat": (port) => ["socat", "-t10", "-", `TCP:127.0.0.1:${port}`],
};

const DATAGRAM = 1200;
const DATAGRAMS = 1_000_000;

const DATAGRAM_SENDERS: Record<string, CommandOnPort> = {
  "ours": (port) =>
    script(
      "udp_sender",
      `127.0.0.1:${port}`,
      `--count=${DATAGRAMS}`,
      `--size=${DATAGRAM}`,
      "--quiet",
    ),
  "C sendto": (port) => load("udp-send", port, DATAGRAM, DATAGRAMS),
  "Node dgram": (port) =>
    peer("node_datagrams.mjs", "send", port, DATAGRAM, DATAGRAMS),
  "bare loop": (port) =>
    peer("deno_datagrams.ts", "send", port, DATAGRAM, DATAGRAMS),
};

/**
 * Our receiver, with what it counted on standard output. At a terminal, which
 * `script` gives it, it only counts; elsewhere it prints what comes, too.
 */
function counting(port: number, where: string): CommandLine {
  const receiver = script(
    "udp_receiver",
    `127.0.0.1:${port}`,
    "--stats",
    "--timeout=1s",
  ).join(" ");
  return ["script", "-qec", `${receiver} 2>&1 ${where}`, "/dev/null"];
}

/** They receive until none come, and then say how many came. */
const DATAGRAM_RECEIVERS: Record<string, CommandOnPort> = {
  "ours": (port) => counting(port, ">/dev/tty"),
  "ours, printing": (port) => counting(port, ">/dev/null"),
  "C recv": (port) => load("udp-receive", port),
  "Node dgram": (port) => peer("node_datagrams.mjs", "receive", port),
  "bare loop": (port) => peer("deno_datagrams.ts", "receive", port),
};

/** The name of a program, without folder and version. */
function nameOf([program]: CommandLine): string {
  return program === PYTHON ? "python3" : program;
}

/** Those of a table that are installed, measured in one way. */
function contenders(
  table: Record<string, CommandOnPort>,
  names: string[],
  measure: (command: CommandLine, port: number) => Promise<number>,
): Contender[] {
  return names.filter((name) => HAS[nameOf(table[name](0))] ?? true)
    .map((name) => ({
      name,
      measure() {
        const port = freePort();
        return measure(table[name](port), port);
      },
    }));
}

/** Servers, each started anew for each measurement. */
function servers(
  names: string[],
  measure: (port: number, server: Background) => Promise<number>,
): Contender[] {
  return contenders(SERVERS, names, async (command, port) => {
    await using server = await serving(command, port);
    return await measure(port, server);
  });
}

/** Servers under a load that prints a rate. */
function loaded(
  names: string[],
  mode: string,
  ...rest: number[]
): Contender[] {
  return servers(names, (port) => figure(load(mode, port, ...rest)));
}

/** Clients of an echo server that is never slower than they are. */
function clients(
  names: string[],
  measure: (command: CommandLine) => Promise<number>,
): Contender[] {
  return names.filter((name) => HAS[nameOf(CLIENTS[name](0))] ?? true)
    .map((name) => ({
      name,
      async measure() {
        const port = freePort();
        await using _server = await serving(SERVERS["C epoll"](port), port);
        return await measure(CLIENTS[name](port));
      },
    }));
}

/** What a connection costs that has been echoed to and says no more. */
async function idleMemory(port: number, server: Background): Promise<number> {
  const before = await server.memory();
  await using holder = new Background(load("once", port, HELD, 64));
  await holder.line();
  return (await server.memory() - before) / HELD;
}

/** Processor time a message, where each connection says one a second. */
async function costOfMessage(
  port: number,
  server: Background,
  count: number,
): Promise<number> {
  await figure(load("rounds", port, count, 64, SECONDS));
  const before = await server.processorTime();
  const rate = await figure(load("paced", port, count, 64, PACED_SECONDS));
  const used = await server.processorTime() - before;
  return used / (rate * PACED_SECONDS);
}

/** Datagrams a second that a receiver gets while one sends all it can. */
async function received(command: CommandLine, port: number): Promise<number> {
  await using receiver = new Background(command);
  await bound(port);
  const count = receiver.end();
  const seconds = await figure(load("udp-send", port, DATAGRAM, DATAGRAMS));
  const [, ours, theirs] = /(\d+) received|^(\d+)$/m.exec(await count)!;
  return Number(ours ?? theirs) / seconds;
}

/** Waits until somebody has the port; to try it would take it from them. */
async function bound(port: number): Promise<void> {
  const entry = `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  while (!(await Deno.readTextFile("/proc/net/udp")).includes(entry)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Datagrams a second that a sender sends to somebody who listens. */
async function sent(command: CommandLine, port: number): Promise<number> {
  await using _sink = new Background(load("udp-receive", port));
  await bound(port);
  return DATAGRAMS / (await finish(command)).seconds;
}

/** Frames a second that libraries decode, each in a process of its own. */
function frames(names: string[], ...chunkLength: number[]): Contender[] {
  const run = ["deno", "run", "--no-prompt", "--allow-env", "--allow-import"];
  return names.map((name) => ({
    name,
    async measure() {
      const file = `${FOLDER}frames.ts`;
      const args = [name, ...chunkLength.map(String)];
      return await figure([...run, file, ...args]).catch(() => NaN);
    },
  }));
}

const CLIENT_NAMES = ["ours", "bare Deno", "Python", "system's Python"];
const SECONDS = 1;
const PACED_SECONDS = 4;
const HELD = 8000;
const ONE_SHOTS = 20;
const GIBIBYTE = 2 ** 30;

const ROWS: Row[] = [
  {
    what: "echo ping-pong, 50 connections, 64 B",
    unit: "messages/s",
    contenders: loaded(
      ["ours", "C epoll", "Node net", "asyncio", "socat", "bare loop"],
      "rounds",
      50,
      64,
      SECONDS,
    ),
  },
  {
    what: "echo, one bulk stream",
    unit: "MB/s",
    contenders: loaded(
      ["ours", "C epoll", "Node net", "asyncio", "socat", "bare loop"],
      "bulk",
      SECONDS,
    ),
  },
  {
    what: "connect, echo, close, 16 at once",
    unit: "connections/s",
    contenders: loaded(
      // The bare loop ends when one client resets.
      ["ours", "C epoll", "Node net", "socat"],
      "churn",
      16,
      64,
      SECONDS,
    ),
  },
  {
    what: "memory an idle connection, 8,000 held",
    unit: "B",
    less: true,
    contenders: servers(["ours", "Node net"], idleMemory),
  },
  {
    what: "2,000 connections opened at once, all served",
    unit: "s",
    less: true,
    contenders: loaded(["ours", "bare Deno"], "once", 2000, 64),
  },
  {
    what: "64-byte lines decoded",
    unit: "lines/s",
    contenders: frames([
      "lines",
      "lines as text",
      "decodeFrames",
      "@std TextLineStream",
      "split2",
      "node:readline",
    ]),
  },
  {
    what: "64-byte frames after u32 or varint decoded",
    unit: "frames/s",
    contenders: frames([
      "u32",
      "varint",
      "it-length-prefixed",
      "length-prefixed-stream",
    ]),
  },
  {
    what: "64-byte lines cut into chunks of 64 KiB; 1,000; 100; 7 bytes",
    unit: "lines/s",
    contenders: [65_536, 1000, 100, 7].flatMap((length) =>
      frames(["lines"], length).map((contender) => ({
        ...contender,
        name: `${length}`,
      }))
    ),
  },
  {
    what: "echo of 100 lines at once, 50 connections",
    unit: "rounds/s",
    contenders: loaded(
      ["ours, lines", "ours, raw", "Node net"],
      "rounds",
      50,
      6400,
      SECONDS,
    ),
  },
  {
    what: "UDP received, 1,200 B",
    unit: "datagrams/s",
    contenders: contenders(
      DATAGRAM_RECEIVERS,
      ["ours", "ours, printing", "C recv", "Node dgram", "bare loop"],
      received,
    ),
  },
  {
    what: "UDP sent, 1,200 B",
    unit: "datagrams/s",
    contenders: contenders(
      DATAGRAM_SENDERS,
      ["ours", "C sendto", "Node dgram", "bare loop"],
      sent,
    ),
  },
  {
    what: "room, 100 members, one speaking",
    unit: "lines heard/s",
    contenders: loaded(["our room", "ncat --chat"], "room", 100, 20_000),
  },
  {
    what: "a gibibyte through the client and back",
    unit: "s",
    less: true,
    contenders: clients(["our pipe", "socat"], async (command) => {
      const pipe = `head -c ${GIBIBYTE} /dev/zero | ${command.join(" ")}`;
      return (await finish(["sh", "-c", `${pipe} >/dev/null`])).seconds;
    }),
  },
  {
    what: "client that says one line, start to end",
    unit: "ms",
    less: true,
    contenders: clients(CLIENT_NAMES, async (command) => {
      const times = [];
      for (let i = 0; i < ONE_SHOTS; i++) {
        times.push((await finish(command)).seconds * 1000);
      }
      return median(times);
    }),
  },
  {
    what: "processor time a message; 10, 100, 1,000, 8,000 connections",
    unit: "µs",
    less: true,
    contenders: [10, 100, 1000, 8000].flatMap((count) =>
      servers(["ours"], (port, server) => costOfMessage(port, server, count))
        .map((contender) => ({ ...contender, name: `${count}` }))
    ),
  },
];

function median(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)];
}

/** A figure with about three digits that count. */
function shown(figure: number): string {
  return figure.toLocaleString("en", { maximumSignificantDigits: 3 });
}

/** Measures a row, everybody in turn so that drift meets all alike. */
async function measured(row: Row, repeats: number): Promise<string> {
  const figures = row.contenders.map((): number[] => []);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [i, { measure }] of row.contenders.entries()) {
      figures[i].push(await measure());
    }
  }
  const [mine, ...theirs] = figures.map(median);
  const peers = theirs.flatMap((figure, i) => {
    const ratio = row.less ? figure / mine : mine / figure;
    const { name } = row.contenders[i + 1];
    return Number.isFinite(ratio) ? [`${name} ${ratio.toFixed(2)}`] : [];
  });
  const cells = [row.what, `${shown(mine)} ${row.unit}`, peers.join(", ")];
  return `| ${cells.join(" | ")} |`;
}

const repeats = Number(
  Deno.args.find((arg) => arg.startsWith("--repeats="))?.split("=")[1] ?? 5,
);
const words = Deno.args.filter((arg) => !arg.startsWith("-"));
console.log("| what | ours | ours against them: more than 1 is better |");
console.log("| ---- | ---- | -------------------------------------- |");
for (const row of ROWS) {
  if (words.length > 0 && !words.some((word) => row.what.includes(word))) {
    continue;
  }
  console.log(await measured(row, repeats));
}
await Deno.remove(LOAD);
