#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Talks to a TCP server: from the keyboard, from a pipe, or by the texts that
 * the command line gives.
 *
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts
 *     echo hello | deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
 *
 * Piped input goes out as it is; at its end the connection is half-closed and
 * what the server still says is read to the end. `--ca` needs `--allow-read`
 * for its file as well, a unix socket `--allow-read` and `--allow-write` for
 * its path.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../lib/address.ts";
import * as cli from "../lib/cli.ts";
import { option, toggle } from "../lib/cli.ts";
import { connectPatiently } from "../lib/connect.ts";
import { duplex } from "../lib/duplex.ts";
import { explain } from "../lib/failure.ts";
import { readCertificate } from "../lib/files.ts";
import { type Framing, FRAMING_NAMES, parseFraming } from "../lib/framing.ts";
import { IdleSweep } from "../lib/idle.ts";
import {
  inputOf,
  MessagePrinter,
  releaseStandardInput,
} from "../lib/messages.ts";
import { Output, OutputError } from "../lib/output.ts";

const FRAMINGS = cli.suggesting(...FRAMING_NAMES);

const OPTIONS = {
  send: cli.list("TEXT", "send this and no input; may be repeated"),
  noStdin: toggle("send nothing, only listen"),
  framing: option("FRAMING", "see below (raw)", FRAMINGS, "raw", "f"),
  maxFrame: option("SIZE", "longest message (64k)", cli.size),
  crlf: toggle("end lines with CRLF"),
  hex: toggle("show what comes in hexadecimal"),
  progress: toggle("show bytes, rate and time on standard error"),
  check: toggle("connect, report, leave"),
  timeout: option("DURATION", "for connecting (10s)", cli.duration, 10_000),
  retry: option("N", "try again so often (0)", cli.integer(), 0),
  idleTimeout: option("DURATION", "leave after so much silence", cli.duration),
  ca: option("FILE", "trust this authority too, PEM", cli.text),
  serverName: option("NAME", "expect a certificate for it", cli.text),
};

type Options = cli.Values<typeof OPTIONS>;

const SERVER =
  "First, in another terminal: deno run --allow-net scripts/tcp_server.ts (or nc -l 1234)";
/** How long what is under way may take to end after SIGINT, in milliseconds. */
const GRACE = 5000;

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "tcp_client",
  summary: "Talks to a TCP server.",
  positionals: "[ADDRESS=127.0.0.1:1234]",
  most: 1,
  options: OPTIONS,
  headings: {
    send: "What it sends",
    hex: "What it shows",
    check: "The connection",
    ca: "TLS",
  },
  epilogue: `
Input:      a pipe goes out as it is, and its end half-closes the connection;
            with a framing each line is a message, with fixed:N each block
            at a terminal each line is sent when it is entered; bye leaves
Framings:   raw lines fixed:N u8 u16 u32 u16le u32le varint netstring
Addresses:  127.0.0.1:1234 :1234 [::1]:1234 tls://localhost:1234 unix:/tmp/s

Permission: --allow-net=HOST:PORT; for --ca --allow-read=FILE as well; a unix
            socket: --allow-net=unix:PATH --allow-read=PATH --allow-write=PATH
Examples:
  echo hello | deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts --check --retry 5
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts --send hello --hex
`,
  async run({ options, positionals: [place = "127.0.0.1:1234"], log }) {
    const { framing: name, ca, check, idleTimeout, progress } = options;
    const limit = { maxFrameLength: options.maxFrame };
    const framing = cli.usage(() => parseFraming(name, limit));
    const address = cli.usage(() => serverAddress(place, options));
    const where = formatAddress(address);
    const stop = cli.stopSignal();
    const start = performance.now();
    using conn = await connectPatiently(address, {
      signal: stop,
      timeout: options.timeout,
      caCerts: ca === undefined ? undefined : [await readCertificate(ca)],
      serverName: options.serverName,
      retries: options.retry,
      onRetry: ({ message }) => log.info("retry", `${message}; trying again`),
    }).catch((error) => {
      if (stop.aborted) throw new Error(`Cannot connect to ${where}: stopped`);
      if (error instanceof Deno.errors.ConnectionRefused) cli.hint(log, SERVER);
      throw error;
    });
    const elapsed = (performance.now() - start).toFixed(1);
    const connected = `Connected to ${where} in ${elapsed} ms`;
    if (check) return log.info("connected", connected, { address: where });
    const typing = Deno.stdin.isTerminal() && !options.noStdin &&
      options.send.length === 0;
    if (typing) log.info("connected", `Connected to ${where}; bye leaves`);
    else log.debug("connected", connected, { address: where });

    using sweep = idleTimeout ? new IdleSweep(idleTimeout) : undefined;
    const silence = new AbortController();
    sweep?.watch(
      conn,
      () => silence.abort(new Deno.errors.TimedOut("it was silent too long")),
    );
    using _progress = progress
      ? new (await import("../lib/progress.ts")).Progress(conn)
      : undefined;
    try {
      if (typing) {
        await chat(
          conn,
          options,
          framing,
          AbortSignal.any([stop, silence.signal]),
        );
        log.info("closed", `The conversation with ${where} is over`);
      } else {
        stop.addEventListener("abort", () => {
          const grace = `${GRACE / 1000}s`;
          log.info("stopping", `Stopping: what is under way has ${grace}`);
        });
        await transfer(conn, options, framing, stop, silence.signal);
      }
    } catch (error) {
      if (error instanceof OutputError) throw error;
      throw explain(error, `finish the conversation with ${where}`, "");
    }
  },
};

function serverAddress(place: string, options: Options): Address {
  const address = parseAddress(place);
  const { transport } = address;
  const { ca, serverName, crlf, framing, maxFrame } = options;
  const { send, check, progress } = options;
  cli.refuse({
    "datagrams are for udp_sender.ts": transport === "udp",
    "port 0 is only for listening": "port" in address && address.port === 0,
    "--ca and --server-name need a tls:// address": transport !== "tls" &&
      (ca ?? serverName) !== undefined,
    "--max-frame needs a --framing": maxFrame && framing === "raw",
    "--crlf goes with raw and lines only": crlf &&
      framing !== "raw" && framing !== "lines",
    "--check sends and shows nothing": check && (send.length > 0 || progress),
  });
  return address;
}

/** A conversation with the keyboard. */
async function chat(
  conn: Deno.Conn,
  { hex, crlf }: Options,
  framing: Framing,
  leave: AbortSignal,
): Promise<void> {
  using keyboard = new (await import("../lib/keyboard.ts")).Keyboard();
  const output = new Output({ hex });
  const asIs = framing.name === "raw" || hex;
  leave.addEventListener("abort", () => conn[Symbol.dispose]());
  try {
    await (await import("../lib/talk.ts")).talk(conn, {
      framing,
      keyboard,
      output,
      crlf,
      asIs,
    });
  } catch (error) {
    if (!leave.aborted) throw error;
  }
}

/** A conversation with a program, or with nobody. */
async function transfer(
  conn: Deno.Conn,
  options: Options,
  framing: Framing,
  stop: AbortSignal,
  silence: AbortSignal,
): Promise<void> {
  const output = new Output({ hex: options.hex, queued: true });
  const printer = framing.name === "raw"
    ? undefined
    : new MessagePrinter(output, framing);
  const grace = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  // Not AbortSignal.timeout: one that is heard keeps the process to its end.
  stop.addEventListener("abort", () => {
    timer = setTimeout(() => grace.abort(stop.reason), GRACE);
  });
  try {
    const { sent, cut } = await duplex(
      conn,
      inputOf(options, framing),
      printer ?? output,
      {
        stop,
        signal: AbortSignal.any([silence, grace.signal, output.failed]),
        linger: options.noStdin ? 0 : undefined,
      },
    );
    await printer?.finish();
    await output.finish();
    if (cut) throw new Error(`it was stopped after ${sent} bytes of its input`);
  } finally {
    // Even clearing a timer that is not there takes 5 ms the first time.
    if (timer !== undefined) clearTimeout(timer);
    releaseStandardInput();
  }
}

if (import.meta.main) {
  Deno.exitCode = await cli.runCommand(command, Deno.args);
}
