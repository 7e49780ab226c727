#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Talks to a TCP server: from the keyboard, a pipe, or the command line.
 *
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts
 *     echo hello | deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
 *
 * @module
 */
import { formatAddress, parseAddress } from "../lib/address.ts";
import { hint, log, runCommand, stopSignal } from "../lib/command/command.ts";
import { FRAMING_OPTIONS, framingFrom, list } from "../lib/command/options.ts";
import { duration, integer, PIPE_OPTIONS } from "../lib/command/options.ts";
import { option, refuse, toggle, usage } from "../lib/command/options.ts";
import { OutputError, typedLine } from "../lib/command/output.ts";
import { certificateName, connect, readPem } from "../lib/tcp/connect.ts";
import { pipe } from "../lib/modes/pipe.ts";
import { describeError } from "../lib/tcp/errors.ts";

const OPTIONS = {
  send: list("TEXT", "send this line and no input; may be repeated"),
  ...PIPE_OPTIONS,
  ...FRAMING_OPTIONS,
  replies: option("N", "end after N messages (0: once all is sent)", integer()),

  // On request: loaded when asked for; `eject` leaves it out of copies.
  hex: toggle("show both directions in hexadecimal"),
  progress: toggle("show bytes, rate and time on standard error"),

  check: toggle("connect, report, leave"),
  timeout: option("DURATION", "for connecting (10s)", duration, 10_000),
  retry: option("N", "retries (0)", integer(), 0),

  // On request: not in a copy.
  idleTimeout: option("DURATION", "leave after this much silence", duration),

  ca: option("FILE", "trust this authority too, PEM", String),
  serverName: option("NAME", "the name in its certificate", certificateName),
};

await runCommand({
  name: "tcp_client",
  summary: "Talks to a TCP server.",
  positionals: "[ADDRESS=127.0.0.1:1234]",
  options: OPTIONS,
  headings: { send: "What it sends", framing: "Messages", check: "Connection" },
  epilogue: `
Input:      a pipe is sent as it is, and its end half-closes the connection;
            with a framing each line is a message, with fixed:N each block
            at a terminal each line is sent when it is entered
Framings:   raw lines fixed:N u8 u16 u32 u16le u32le varint netstring
Addresses:  127.0.0.1:1234 :1234 [::1]:1234 tls://localhost:1234 unix:/tmp/s
Permission: --allow-net=HOST:PORT; for --ca --allow-read=FILE as well; a unix
            socket: --allow-net=unix:PATH --allow-read=PATH --allow-write=PATH
Examples:
  echo hello | deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts --check --retry 5
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts --send hello --crlf
`,
  async run({ options, positionals: [place = "127.0.0.1:1234"] }) {
    const { ca, serverName, check, replies } = options;
    const framing = framingFrom(options);
    const message = (text: string) =>
      typedLine(new TextEncoder().encode(text), framing, options.crlf);
    const send = usage(() => options.send.map(message), "", "--send: ");
    const address = usage(() => parseAddress(place));
    refuse({
      "datagrams are for udp_sender.ts": address.transport === "udp",
      "port 0 is only for listening": "port" in address && address.port === 0,
      "--ca and --server-name need a tls:// address":
        address.transport !== "tls" && (ca ?? serverName) !== undefined,
      "--check sends and shows nothing": check &&
        (send.length > 0 || replies !== undefined),
      "--replies 0 waits until all is sent, and with --no-stdin nothing is":
        replies === 0 && options.noStdin && send.length === 0,

      // On request: it goes with the option.
      "--check takes no --progress": check && options.progress,
    });
    const where = formatAddress(address);
    const stop = stopSignal(6000); // a second after what is under way is cut

    const caCerts = ca === undefined ? [] : [await readPem(ca, "certificate")];
    const start = performance.now();
    using conn = await connect(address, {
      ...options,
      signal: stop,
      caCerts,
      retries: options.retry,
      onRetry: ({ message }) => log.info("retry", `${message}; trying again`),
    }).catch((error) => {
      if (stop.aborted) throw new Error(`Cannot connect to ${where}: stopped`);

      // On request: what to type in another terminal.
      if (error instanceof Deno.errors.ConnectionRefused) {
        hint("tcp_server", "nc -l 1234");
      }

      throw error;
    });
    const elapsed = (performance.now() - start).toFixed(1);
    const connected = `Connected to ${where} in ${elapsed} ms`;
    if (check) return log.info("connected", connected, { address: where });

    const end = new AbortController();

    // On request: a client should start at once.
    if (options.idleTimeout !== undefined) {
      const { idleSweep } = await import("../lib/tcp/idle.ts");
      idleSweep(options.idleTimeout).watch(conn, () => {
        end.abort(new Deno.errors.TimedOut("it was silent too long"));
      });
    }

    const isTyped = !options.noStdin && send.length === 0 &&
      Deno.stdin.isTerminal();

    // On request: it counts what the connection reads and writes.
    using _progress = options.progress
      ? (await import("../lib/command/progress.ts")).showProgress(conn, isTyped)
      : undefined;

    stop.addEventListener("abort", () => {
      if (isTyped) return end.abort(stop.reason);
      log.info("stopping", "Stopping: what is under way has 5s");
      setTimeout(() => end.abort(stop.reason), 5000);
    });
    try {
      // On request: a person chats, but not in hexadecimal.
      if (isTyped && !options.hex && replies === undefined) {
        log.info("connected", `Connected to ${where}; bye leaves`);
        const { openPrompt } = await import("../lib/command/prompt.ts");
        const { chat } = await import("../lib/modes/chat.ts");
        await using prompt = await openPrompt();
        await chat(conn, framing, prompt, { ...options, signal: end.signal });
        if (!stop.aborted) end.signal.throwIfAborted();
        return log.info("closed", `The conversation with ${where} is over`);
      }

      log.debug("connected", connected, { address: where });
      const input = { ...options, send, stop, signal: end.signal };
      await pipe(conn, framing, input);
    } catch (error) {
      if (error instanceof OutputError) throw error;
      throw describeError(error, `finish the conversation with ${where}`, "");
    }
  },
});
