#!/usr/bin/env -S deno run --no-prompt --allow-net --unstable-net
/**
 * Sends datagrams over UDP: messages of the command line, lines of standard
 * input, or made-up text, at an even pace.
 *
 *     deno run --unstable-net --allow-net=127.0.0.1:8080 scripts/udp_receiver.ts
 *     deno run --unstable-net --allow-net=0.0.0.0:0,127.0.0.1:8080 scripts/udp_sender.ts 127.0.0.1:8080 "Hello, my name is Henry"
 *
 * @module
 */
import { format } from "@std/fmt/bytes";
import { formatAddress, type NetAddress } from "../lib/address.ts";
import { hint, log, runCommand, stopSignal } from "../lib/command/command.ts";
import { duration, integer, option, refuse } from "../lib/command/options.ts";
import { size, toggle, usage } from "../lib/command/options.ts";
import { print, shownDatagram } from "../lib/command/output.ts";
import { HEADER_LENGTH, STOPPED, writeHeader } from "../lib/stats.ts";
import { resolveName } from "../lib/tcp/connect.ts";
import { after, openInput } from "../lib/tcp/stream.ts";
import { parseUdpAddress, UdpSocket } from "../lib/udp.ts";
import { paceOf, seriesOf } from "../lib/udp/series.ts";

const intervalOf = (text: string) => text === "0" ? 0 : duration(text);

const OPTIONS = {
  count: option("N", "send each message N times", integer(1, STOPPED)),
  interval: option("DURATION", "between two datagrams (0)", intervalOf, 0),
  size: option("SIZE", "fill or cut each to this size", size),
  raw: toggle("send each read of the input, not each line"),
  number: toggle("start each with its number and the time"),
  wait: option("DURATION", "print answers for this long", duration),
  replies: option("N", "print answers, up to N (for 5s)", integer(1)),
  bind: option("ADDRESS", "send from this address and port", String),
};

await runCommand({
  name: "udp_sender",
  summary: "Sends datagrams over UDP.",
  positionals: "[ADDRESS=127.0.0.1:8080] [MESSAGE...]",
  options: OPTIONS,
  headings: { count: "What it sends", wait: "Answers", bind: "The way" },
  epilogue: `
Messages:   each MESSAGE is a datagram; without one each line of standard input
            is one, or made-up text with --count or --size; a datagram holds
            at most 65507 bytes over IPv4, 65527 over IPv6; --number takes 20
            of them, at the start: mark, run, sequence, total, time
Addresses:  127.0.0.1:8080 :8080 [::1]:8080 239.1.2.3:8080 (a group)
            --bind 127.0.0.1  --bind :5000  --bind [::1]:5000

Permission: --allow-net=0.0.0.0:0,127.0.0.1:8080 (where from, where to), and
            --unstable-net, unless a deno.json has "net" in it
Examples:
  deno run --unstable-net --allow-net scripts/udp_sender.ts 127.0.0.1:8080 hello
  deno run --unstable-net --allow-net scripts/udp_sender.ts --number --count 20
  echo hi | deno run --unstable-net --allow-net scripts/udp_sender.ts --wait 1s
`,
  async run({ options, positionals }) {
    const [place = "127.0.0.1:8080", ...texts] = positionals;
    const { raw, count, number, bind = "0", wait = 5000, replies } = options;
    const advice = "; the address comes before the messages";
    const named = usage(() => parseUdpAddress(place), advice);
    refuse({
      "port 0 is only for listening": named.port === 0,
      "--raw is for standard input": raw && (texts[0] ?? count) !== undefined,
      "--size must be 20 or more with --number": number && options.size! < 20,
    });
    const own = usage(() => parseUdpAddress(bind, { hostname: "", port: 0 }));
    // Both must be of one version of IP; a name may have addresses of either.
    const versionsFor = ({ hostname }: NetAddress) =>
      hostname.includes(":") ? [6, 4] : [4, 6];
    let to = await resolveName(named, "send to", versionsFor(own));
    own.hostname ||= to.hostname.includes(":") ? "::" : "0.0.0.0";
    const from = await resolveName(own, "send from", versionsFor(to));
    const [version] = versionsFor(from);
    const fits = versionsFor(to)[0] === version;
    if (!fits) to = await resolveName(named, "send to", [version]);
    using socket = new UdpSocket(from, { to });
    const header = number ? HEADER_LENGTH : 0;
    // The end of a numbered series is told when the terminal goes, too.
    const stop = stopSignal(1000, number);
    const over = new AbortController();
    const end = AbortSignal.any([stop, over.signal]);
    const { total, datagrams } = usage(() =>
      seriesOf(texts, options, header, () => openInput(end), version)
    );
    if (total === 0 && Deno.stdin.isTerminal()) {
      // On request: what to type in another terminal.
      hint("udp_receiver", "nc -u -l 8080");

      const isWindows = Deno.build.os === "windows";
      const keys = isWindows ? "Ctrl-Z and Enter end" : "Ctrl-D ends";
      log.info("typing", `Each line is a datagram; ${keys} the input`);
    }

    let [tried, sent, bytes, came] = [0, 0, 0, 0];
    // It listens first: an answer may be there before the last has left.
    const answered = (options.wait ?? replies) !== undefined;
    const answers = answered && printAnswers();
    if (answers) answers.catch(() => over.abort());

    async function printAnswers(): Promise<void> {
      for await (const { payload, peer } of socket.receive()) {
        const about = { peer: formatAddress(peer), bytes: payload.length };
        const unit = about.bytes === 1 ? "byte" : "bytes";
        log.info("answer", `${about.bytes} ${unit} from ${about.peer}`, about);
        const isSeen = Deno.stdout.isTerminal();
        await print(isSeen ? shownDatagram(payload) : payload);
        if (++came === replies) break;
      }
    }

    const [run] = crypto.getRandomValues(new Uint32Array(1));
    let failure: unknown;
    const start = performance.now();
    try {
      const isDue = paceOf(options.interval, end);

      // On request: how far it is, where a person watches.
      const howFar = () => `${sent} of ${total} sent, ${format(bytes)}`;
      using _line = total > 0 && !answers && Deno.stderr.isTerminal()
        ? (await import("../lib/command/progress.ts")).progressLine(howFar)
        : undefined;

      for await (const datagram of datagrams) {
        await isDue();
        if (end.aborted) break;
        if (number) writeHeader(datagram, { run, sequence: tried, total });
        try {
          await socket.send(datagram, to);
          sent++;
          bytes += datagram.length;
        } catch (error) {
          failure = error;
          // What this machine's firewall drops does not end a series.
          if ((error as { code?: string }).code !== "EPERM") break;
        }
        tried++;
      }
    } catch (error) {
      if (!end.aborted) failure = error; // else a read was cut short
    }
    if (failure && sent === 0) throw failure;
    if (number && tried !== total && (failure || end.aborted)) {
      // What was never sent shall not count as lost.
      const last = new Uint8Array(HEADER_LENGTH);
      writeHeader(last, { run, sequence: STOPPED, total: tried });
      await socket.send(last, to)
        .catch(() => socket.send(last, to)) // a firewall may drop only some
        .catch((error) => failure ??= error);
    }
    const seconds = (performance.now() - start) / 1000;
    const what = `${sent} datagram${sent === 1 ? "" : "s"} (${format(bytes)})`;
    const sum = `${what} to ${formatAddress(named)} in ${seconds.toFixed(2)} s`;
    log.info("sent", `Sent ${sum}`, { sent, bytes, seconds });

    const close = () => socket[Symbol.dispose]();
    stop.addEventListener("abort", close);
    using _timer = after(stop.aborted ? 0 : wait, close);
    await answers;
    if (failure) throw failure;
    if (!answers || stop.aborted || came >= (replies ?? 1)) return;
    const within = `within ${wait / 1000}s`;
    const some = `${came} of ${replies} answers came ${within}`;
    if (came > 0) return log.info("answers", some);
    throw new Error(
      `Nobody answered ${within}: perhaps nobody listens there, or a datagram was lost; UDP cannot tell`,
    );
  },
});
