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
import { installed } from "../helpers.ts";
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
    : [file.endsWith(".py") ? "python3" : "node"];
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
  "socat": (port) => [
    "socat",
    `TCP-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=4096`,
    "PIPE",
  ],
  "ncat": (port) =>
    `ncat -l -k -m 1000 -e /bin/cat 127.0.0.1 ${port}`.split(" "),
  "ncat --chat": (port) =>
    `ncat -l -k -m 1000 --chat 127.0.0.1 ${port}`.split(" "),
};

/** Clients and other programs that are given a port. */
const CLIENTS: Record<string, CommandOnPort> = {
  "ours": (port) => script("tcp_client", `127.0.0.1:${port}`),
  "bare Deno": (port) => peer("deno_client.ts", port),
  "Python": (port) => peer("python_client.py", port),
  "socat": (port) => ["socat", "-t10", "-", `TCP:127.0.0.1:${port}`],
};

/** Servers under a load, each started anew for each measurement. */
function servers(
  names: string[],
  measure: (port: number, server: Background) => Promise<number>,
): Contender[] {
  return names.filter((name) => HAS[programOf(SERVERS[name](0))] ?? true)
    .map((name) => ({
      name,
      async measure() {
        const port = freePort();
        await using server = await serving(SERVERS[name](port), port);
        return await measure(port, server);
      },
    }));
}

function programOf([program]: CommandLine): string {
  return program;
}

/** Opens connections, each of which has been echoed to; they are held. */
async function holding(
  port: number,
  count: number,
): Promise<Background & { seconds: number }> {
  const holder = new Background(load("once", port, count, 64));
  return Object.assign(holder, { seconds: Number(await holder.line()) });
}

const SECONDS = 2;
const HELD = 8000;
const DATAGRAM = 1200;
const DATAGRAMS = 200_000;
const GIBIBYTE = 2 ** 30;

/** Servers that say a line a second on each of so many connections. */
function paced(count: number): Contender {
  const [contender] = servers(["ours"], async (port, server) => {
    const before = await server.processorTime();
    const rate = await figure(load("paced", port, count, 64, 5));
    const used = await server.processorTime() - before;
    return used / (rate * 5) * 1e6;
  });
  return { ...contender, name: `${count}` };
}

/** Clients of one echo server, timed from start to end. */
function clients(
  names: string[],
  command: (run: CommandLine) => CommandLine,
  times = 1,
): Contender[] {
  return names.filter((name) => HAS[programOf(CLIENTS[name](0))] ?? true)
    .map((name) => ({
      name,
      async measure() {
        const port = freePort();
        await using _server = await serving(SERVERS["C epoll"](port), port);
        const seconds = [];
        for (let i = 0; i < times; i++) {
          seconds.push((await finish(command(CLIENTS[name](port)))).seconds);
        }
        return median(seconds);
      },
    }));
}

/** Programs that send datagrams, in datagrams a second. */
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
};

/** Programs that receive datagrams until none come, and say how many. */
const DATAGRAM_RECEIVERS: Record<string, CommandOnPort> = {
  "ours": (port) =>
    script("udp_receiver", `127.0.0.1:${port}`, "--stats", "--timeout=1s"),
  "C recv": (port) => load("udp-receive", port),
  "Node dgram": (port) => peer("node_datagrams.mjs", "receive", port),
};
