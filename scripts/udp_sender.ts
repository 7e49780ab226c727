#!/usr/bin/env -S deno run --no-prompt --allow-net --unstable-net
/**
 * Sends datagrams over UDP: the messages that the command line gives, lines of
 * standard input, or as many as it is told to, at an even pace.
 *
 *     deno run --unstable-net --allow-net=127.0.0.1:8080 scripts/udp_receiver.ts
 *     deno run --unstable-net --allow-net=0.0.0.0:0,127.0.0.1:8080 scripts/udp_sender.ts 127.0.0.1:8080 "Hello, my name is Henry"
 *
 * That it was sent is all that a sender knows: whether anybody listens shows
 * only if somebody answers (`--wait`). It is bound to any free port of every
 * interface (`0.0.0.0:0`) unless `--bind` says another.
 *
 * @module
 */
import { format } from "@std/fmt/bytes";
import { formatAddress } from "../lib/address.ts";
import * as cli from "../lib/cli.ts";
import { option, toggle, UsageError } from "../lib/cli.ts";
import { printDatagram } from "../lib/datagram_printer.ts";
import { releaseStandardInput } from "../lib/messages.ts";
import type { Log } from "../lib/log.ts";
import { Output } from "../lib/output.ts";
import { Pacer } from "../lib/pace.ts";
import { type PayloadOptions, payloads, totalOf } from "../lib/payloads.ts";
import { ProgressLine } from "../lib/progress_line.ts";
import {
  HEADER_LENGTH,
  headerTime,
  MAX_NUMBERED,
  writeHeader,
} from "../lib/stats.ts";
import {
  DatagramTooLongError,
  isMulticast,
  type NetAddress,
  parseUdpAddress,
  UdpSocket,
} from "../lib/udp.ts";

const OPTIONS = {
  count: option("N", "send each message N times", cli.integer(1, MAX_NUMBERED)),
  interval: option("DURATION", "wait between two (0)", cli.duration, 0),
  size: option("SIZE", "fill or cut each datagram to this", cli.size),
  number: toggle("start each with its number and the time"),
  wait: option("DURATION", "print answers for so long", cli.duration),
  replies: option("N", "print answers until N came (for 5s)", cli.integer(1)),
  bind: option("ADDRESS", "send from this interface, port", cli.text),
  ttl: option("N", "routers a group's may pass (1)", cli.integer(0, 255)),
};

type Options = cli.Values<typeof OPTIONS>;

/** How long `--replies` waits without `--wait`, in milliseconds. */
const WAIT = 5000;

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "udp_sender",
  summary: "Sends datagrams over UDP.",
  positionals: "[ADDRESS=127.0.0.1:8080] [MESSAGE...]",
  most: Infinity,
  options: OPTIONS,
  headings: { count: "What it sends", wait: "Answers", bind: "The way" },
  epilogue: `
Messages:   each MESSAGE is a datagram; without one each line of standard input
            is, and with --count or --size datagrams of made-up text are
            at most 65507 bytes over IPv4, 65527 over IPv6; of these --number
            takes 12, at the start: sequence, total, time
Addresses:  127.0.0.1:8080 :8080 [::1]:8080 239.1.2.3:8080 (a group)
            --bind 127.0.0.1  --bind :5000  --bind [::1]:5000

Permission: --allow-net=0.0.0.0:0,127.0.0.1:8080 (where from, where to), and
            --unstable-net, unless a deno.json has "net" in it
Examples:
  deno run --unstable-net --allow-net scripts/udp_sender.ts 127.0.0.1:8080 hello
  deno run --unstable-net --allow-net scripts/udp_sender.ts --number --count 20
  date | deno run --unstable-net --allow-net scripts/udp_sender.ts --replies 1
`,
  async run({ options, positionals: [place, ...texts], log }) {
    const { bind = "0", ttl, wait, replies } = options;
    const to = cli.usage(() => destination(place));
    const hostname = to.hostname.includes(":") ? "::" : "0.0.0.0";
    const from = cli.usage(() => parseUdpAddress(bind, { hostname, port: 0 }));
    if (to.port === 0) throw new UsageError("port 0 is only for listening");
    using socket = new UdpSocket(from, { to });
    const source = sourceOf(texts, options, socket.limit);
    if (ttl !== undefined) {
      if (!isMulticast(to.hostname) || to.hostname.includes(":")) {
        throw new UsageError("--ttl needs an IPv4 group, as in 239.1.2.3:8080");
      }
      await socket.setMulticastTtl(ttl, { ...to, on: from.hostname });
    }

    if (totalOf(source) === undefined && Deno.stdin.isTerminal()) {
      cli.hint(
        log,
        "In another terminal: deno run --allow-net scripts/udp_receiver.ts (or nc -u -l 8080)",
      );
      log.info("typing", "Each line is a datagram; Ctrl-D ends the input");
    }
    const stop = cli.stopSignal();
    const over = new AbortController();
    const end = AbortSignal.any([stop, over.signal]);
    end.addEventListener("abort", releaseStandardInput);
    const answered = wait !== undefined || replies !== undefined;
    // Listening starts first: the first answer may be there before the last
    // datagram has left.
    const answers = answered && printAnswers(socket, replies, log, end);
    if (answers) answers.catch(() => over.abort());
    await sendAll(socket, to, source, options, log, end);
    if (!answers) return;
    const timer = setTimeout(() => over.abort(), wait ?? WAIT);
    const count = await answers.finally(() => clearTimeout(timer));
    if (stop.aborted) return;
    const within = `within ${(wait ?? WAIT) / 1000}s`;
    if (count === 0) {
      const why = "nobody may listen there, or a datagram was lost";
      log.info("silence", `Nobody answered ${within}: ${why}; UDP cannot tell`);
    } else if (count < (replies ?? 0)) {
      log.info("answers", `${count} of ${replies} answers came ${within}`);
    }
  },
};

function destination(place = "127.0.0.1:8080"): NetAddress {
  try {
    return parseUdpAddress(place);
  } catch (error) {
    const { message } = error as Error;
    throw new UsageError(`${message}; the address comes before the messages`);
  }
}

/** What to send; what is too long is refused before anything is sent. */
function sourceOf(
  texts: string[],
  { count, size, number }: Options,
  limit: number,
): PayloadOptions {
  const header = number ? HEADER_LENGTH : 0;
  if (size !== undefined && size < header) {
    throw new UsageError(`--size must be ${header} or more with --number`);
  }
  const lengths = texts.map((text) => header + encoder.encode(text).length);
  const longest = size ?? Math.max(0, ...lengths);
  if (longest > limit) {
    throw new UsageError(new DatagramTooLongError(longest, limit).message);
  }
  return { texts, count, size, header, limit };
}

const encoder = new TextEncoder();

async function sendAll(
  socket: UdpSocket,
  to: NetAddress,
  source: PayloadOptions,
  { interval, number, wait, replies }: Options,
  log: Log,
  end: AbortSignal,
): Promise<void> {
  const total = totalOf(source);
  let [sent, bytes] = [0, 0];
  const line = () => `${sent} of ${total} sent, ${format(bytes)}`;
  const watched = total !== undefined && (wait ?? replies) === undefined;
  const start = performance.now();
  try {
    using _progress = watched ? new ProgressLine(line) : undefined;
    using pacer = new Pacer(interval);
    for await (const payload of payloads(source, Deno.stdin)) {
      await pacer.turn(end);
      if (end.aborted) break;
      if (number) {
        const time = headerTime();
        writeHeader(payload, { sequence: sent, total: total ?? 0, time });
      }
      await socket.send(payload, to);
      sent++;
      bytes += payload.length;
    }
  } catch (error) {
    // What was under way was cut short: a read, or a send.
    if (!end.aborted) throw error;
  }
  const seconds = (performance.now() - start) / 1000;
  const what = `${sent} datagram${sent === 1 ? "" : "s"} (${format(bytes)})`;
  log.info(
    "sent",
    `Sent ${what} to ${formatAddress(to)} in ${seconds.toFixed(2)} s`,
    { sent, bytes, seconds },
  );
}

/** Prints what comes back, whoever sent it; gives how many came. */
async function printAnswers(
  socket: UdpSocket,
  most: number | undefined,
  log: Log,
  end: AbortSignal,
): Promise<number> {
  const output = new Output();
  let count = 0;
  for await (const { payload, peer } of socket.receive({ signal: end })) {
    const from = formatAddress(peer);
    const details = { peer: from, bytes: payload.length };
    log.info("answer", `${payload.length} bytes from ${from}`, details);
    await printDatagram(output, payload);
    if (++count === most) break;
  }
  return count;
}

if (import.meta.main) {
  Deno.exitCode = await cli.runCommand(command, Deno.args);
}
