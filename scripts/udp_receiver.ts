#!/usr/bin/env -S deno run --no-prompt --allow-net --unstable-net
/**
 * Receives datagrams over UDP from everybody, and prints, counts or echoes
 * them.
 *
 *     deno run --unstable-net --allow-net=127.0.0.1:8080 scripts/udp_receiver.ts
 *     deno run --unstable-net --allow-net=0.0.0.0:0,127.0.0.1:8080 scripts/udp_sender.ts 127.0.0.1:8080 "Hello, my name is Henry"
 *
 * On a terminal each datagram is a line, or several. A program that reads
 * standard output gets the bytes as they came, with nothing between two
 * datagrams; where they end, `--verbose` says on standard error.
 *
 * Listens on loopback unless told otherwise; `0.0.0.0:8080` exposes it to the
 * network. `--echo` needs permission to send to who is answered: `--allow-net`.
 *
 * @module
 */
import { formatAddress } from "../lib/address.ts";
import * as cli from "../lib/cli.ts";
import { option, toggle } from "../lib/cli.ts";
import { printDatagram } from "../lib/datagram_printer.ts";
import { EchoGuard } from "../lib/echo_guard.ts";
import type { Log } from "../lib/log.ts";
import { Output } from "../lib/output.ts";
import { peerFilter } from "../lib/peer_filter.ts";
import { describeReport } from "../lib/describe_report.ts";
import { Statistics } from "../lib/stats.ts";
import {
  addressForGroups,
  type Datagram,
  isMulticast,
  parseGroup,
  parseUdpAddress,
  UdpSocket,
} from "../lib/udp.ts";

const OPTIONS = {
  echo: toggle("send each back to who sent it"),
  hex: toggle("show what comes in hexadecimal"),
  stats: toggle("count loss, copies, order, jitter"),
  maxSize: option("SIZE", "cut what is longer (65535)", cli.size, 65_535),
  from: cli.list("ADDRESS", "hear this peer only; may be repeated"),
  join: cli.list("GROUP[@INTERFACE-IP]", "hear this group; may be repeated"),
  count: option("N", "leave after N datagrams", cli.integer(1)),
  timeout: option("DURATION", "leave after so much silence", cli.duration),
};

type Options = cli.Values<typeof OPTIONS>;

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "udp_receiver",
  summary: "Receives datagrams over UDP from everybody.",
  positionals: "[ADDRESS=127.0.0.1:8080]",
  most: 1,
  options: OPTIONS,
  headings: { echo: "What it does", from: "Peers", count: "Its end" },
  epilogue: `
Statistics: of what udp_sender --number sends, on standard error at the end; on
            a terminal they take the place of the datagrams
            lost: numbers that are missing     duplicated: copies
            reordered: after a higher number   jitter: RFC 3550 6.4.1, in ms
Groups:     --join 239.1.2.3  --join 239.1.2.3@127.0.0.1  --join [ff02::1234]@2
            IPv6 takes the interface's number, as in \`ip link\`; ADDRESS is then
            the port, and 0.0.0.0:PORT hears more than the group
Addresses:  127.0.0.1:8080 :8080 [::1]:8080 0.0.0.0:8080 (every interface)
            --from 10.0.0.1  --from 10.0.0.1:5000

Permission: --allow-net=HOST:PORT, for --echo --allow-net (it answers anybody),
            and --unstable-net, unless a deno.json has "net" in it
Examples:
  deno run --unstable-net --allow-net=127.0.0.1:8080 scripts/udp_receiver.ts
  deno run --unstable-net --allow-net scripts/udp_receiver.ts :8080 --stats
  deno run --unstable-net --allow-net scripts/udp_receiver.ts --echo --hex
`,
  async run({ options, positionals: [place = "127.0.0.1:8080"], log }) {
    const { maxSize, timeout } = options;
    const range = `--max-size must be 1 to 65535, not ${maxSize}`;
    cli.refuse({ [range]: maxSize < 1 || maxSize > 65_535 });
    const accept = cli.usage(() => peerFilter(options.from));
    const groups = cli.usage(() => options.join.map(parseGroup));
    const local = cli.usage(() => parseUdpAddress(place));
    // An address that is a group is one to join.
    if (isMulticast(local.hostname) && groups.length === 0) {
      groups.push(parseGroup(local.hostname));
    }
    const stop = cli.stopSignal();
    const address = addressForGroups(local, groups);
    using socket = new UdpSocket(address, { shared: groups.length > 0 });
    for (const group of groups) await socket.join(group);
    const where = formatAddress(socket.address);
    log.info("listening", `Listening on ${where}`, { address: where });

    cli.hint(
      log,
      "In another terminal: deno run --allow-net scripts/udp_sender.ts (or nc -u 127.0.0.1 8080)",
    );

    const output = new Output({ hex: options.hex, queued: true });
    const signal = AbortSignal.any([stop, output.failed]);
    const handler = new Handler(socket, options, output, log);
    let count = 0;
    try {
      const wanted = { maxSize, signal, timeout, accept };
      for await (const datagram of socket.receive(wanted)) {
        const handling = handler.handle(datagram);
        // Where datagrams are only counted, there is nothing to wait for.
        if (handling !== undefined) await handling;
        if (++count === options.count) break;
      }
      await output.finish();
    } catch (error) {
      if (!(error instanceof Deno.errors.TimedOut)) throw error;
      log.info("timeout", `Leaving: ${error.message}`);
    } finally {
      handler.report();
    }
  },
};

/** What is done with each datagram. */
class Handler {
  #socket: UdpSocket;
  #options: Options;
  #log: Log;
  #output: Output;
  #guard: EchoGuard;
  #statistics = new Statistics();
  #last = "";
  #peer: Deno.NetAddr | undefined;
  #name = "";

  constructor(
    socket: UdpSocket,
    options: Options,
    output: Output,
    log: Log,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#log = log;
    this.#output = output;
    this.#guard = new EchoGuard(socket.address);
  }

  handle(
    { payload, peer, cut, arrival }: Datagram,
  ): Promise<void> | undefined {
    const { stats, echo, maxSize } = this.#options;
    const bytes = payload.length;
    const from = this.#nameOf(peer);
    const message = stats
      ? this.#statistics.record(payload, from, arrival)
      : payload;
    if (this.#log.verbose) {
      const text = `${bytes} bytes from ${from}`;
      this.#log.debug("datagram", text, { peer: from, bytes });
    }
    if (cut) {
      const what = `The datagram from ${from} is longer than ${maxSize} bytes`;
      const text = `${what}: its end is lost (--max-size)`;
      this.#log.error(text, { peer: from, bytes });
    } else if (echo) {
      return this.#answer(payload, peer, from)
        .then(() => this.#show(message, from, bytes));
    }
    return this.#show(message, from, bytes);
  }

  #show(
    message: Uint8Array,
    peer: string,
    bytes: number,
  ): Promise<void> | undefined {
    if (this.#options.stats && this.#output.terminal) return undefined;
    if (peer !== this.#last) {
      this.#log.info("peer", `From ${peer}:`, { peer, bytes });
    }
    this.#last = peer;
    return printDatagram(this.#output, message);
  }

  /** Most datagrams come from whoever sent the one before. */
  #nameOf(peer: Deno.NetAddr): string {
    if (
      this.#peer?.port !== peer.port || this.#peer.hostname !== peer.hostname
    ) {
      this.#peer = peer;
      this.#name = formatAddress(peer);
    }
    return this.#name;
  }

  async #answer(payload: Uint8Array, peer: Deno.NetAddr, from: string) {
    const objection = this.#guard.objection(payload, peer);
    if (objection !== undefined) {
      const text = `${from} gets no answer: ${objection}`;
      return this.#log.info("unanswered", text, { peer: from });
    }
    try {
      await this.#socket.send(payload, peer);
    } catch (error) {
      // One peer that cannot be reached is no reason to leave the others.
      this.#log.error((error as Error).message, { peer: from });
    }
  }

  /** Says what became of the datagrams, if that is wanted. */
  report(): void {
    if (!this.#options.stats) return;
    const senders = this.#statistics.senders();
    const report = this.#statistics.report();
    this.#log.info("stats", describeReport(report), { ...report });
    if (senders.size > 1) {
      for (const [peer, each] of senders) {
        const details = { peer, ...each };
        this.#log.info("sender", `${peer}: ${describeReport(each)}`, details);
      }
    }
    const { gaps } = this.#statistics;
    const lines = gaps.draw();
    if (lines.length === 0) return;
    this.#log.info("gaps", "Times between two datagrams:");
    gaps.rows().forEach((row, i) =>
      this.#log.info("gap", lines[i], { ...row })
    );
  }
}

if (import.meta.main) {
  Deno.exitCode = await cli.runCommand(command, Deno.args);
}
