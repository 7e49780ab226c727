#!/usr/bin/env -S deno run --no-prompt --allow-net --unstable-net
/**
 * Receives datagrams over UDP from everybody, and prints, counts or echoes them.
 *
 *     deno run --unstable-net --allow-net=127.0.0.1:8080 scripts/udp_receiver.ts
 *     deno run --unstable-net --allow-net=0.0.0.0:0,127.0.0.1:8080 scripts/udp_sender.ts 127.0.0.1:8080 "Hello, my name is Henry"
 *
 * On a terminal each datagram is a line, or several. A program that reads
 * standard output gets the bytes as they came, with nothing between two.
 * Listens on loopback; `0.0.0.0:8080` exposes it to the network.
 *
 * @module
 */
import { formatAddress } from "../lib/address.ts";
import { hint, log, runCommand, stopSignal } from "../lib/command/command.ts";
import { duration, integer, list, option } from "../lib/command/options.ts";
import { refuse, size, toggle, usage } from "../lib/command/options.ts";
import { Output, shownDatagram } from "../lib/command/output.ts";
import { resolveName } from "../lib/tcp/connect.ts";
import { parseUdpAddress, UdpSocket } from "../lib/udp.ts";
import { echoGuard } from "../lib/udp/echo_guard.ts";
import { peerFilter } from "../lib/tcp/peer_filter.ts";
import { hexDump } from "../lib/text.ts";

const OPTIONS = {
  echo: toggle("send each back to its sender"),
  hex: toggle("show what comes in hexadecimal"),

  // On request: loaded when asked for; `eject` leaves it out of copies.
  stats: toggle("count loss, copies, order, jitter; see below"),

  maxSize: option("SIZE", "cut longer datagrams (65535)", size, 65_535),
  from: list("ADDRESS|CIDR", "hear this peer only; may be repeated"),

  // On request: not in a copy, either.
  join: list("GROUP[@INTERFACE]", "hear this group; may be repeated"),

  count: option("N", "leave after N datagrams", integer(1)),
  timeout: option("DURATION", "leave after this much silence", duration),
};

const EPILOGUE = [`
Addresses:  127.0.0.1:8080 :8080 [::1]:8080 0.0.0.0:8080 (every interface)
            --from 10.0.0.1  --from 10.0.0.1:5000  --from 10.0.0.0/8

Permission: --allow-net=HOST:PORT, for --echo --allow-net (it answers anybody),
            and --unstable-net, unless a deno.json has "net" in it
Examples:
  deno run --unstable-net --allow-net=127.0.0.1:8080 scripts/udp_receiver.ts
  deno run --unstable-net --allow-net scripts/udp_receiver.ts :8080 --count 9
  deno run --unstable-net --allow-net scripts/udp_receiver.ts --echo --hex
`];

// On request: what the figures and groups mean.
EPILOGUE.unshift(`
Statistics: of what udp_sender --number sends, on standard error at the end; on
            a terminal they take the place of the datagrams
            lost: numbers that are missing     duplicated: copies
            reordered: after a higher number   jitter: RFC 3550 6.4.1, in ms
Groups:     --join 239.1.2.3  --join 239.1.2.3@127.0.0.1  --join ff02::1234@2
            IPv6 takes the interface's number (\`ip link\`, on Windows \`netsh int
            ipv6 show int\`); ADDRESS is then the port, and 0.0.0.0:PORT hears
            more than the group`);

await runCommand({
  name: "udp_receiver",
  summary: "Receives datagrams over UDP from everybody.",
  positionals: "[ADDRESS=127.0.0.1:8080]",
  options: OPTIONS,
  headings: { echo: "What it does", from: "Peers", count: "Its end" },
  epilogue: EPILOGUE.join(""),
  async run({ options, positionals: [place = "127.0.0.1:8080"] }) {
    const { echo, hex, maxSize, timeout } = options;
    const range = `--max-size must be 1 to 65535, not ${maxSize}`;
    refuse({ [range]: maxSize < 1 || maxSize > 65_535 });
    const isWanted = usage(() => peerFilter(options.from));
    const own = { address: usage(() => parseUdpAddress(place)), shared: false };

    // On request: groups, of which the address may be one.
    const { bindToGroups, joinGroup } = await import("../lib/udp/group.ts");
    const groups = usage(() => bindToGroups(own, options.join));

    // From here on the system keeps what comes until it is asked for.
    const address = await resolveName(own.address, "listen on");
    using socket = new UdpSocket(address, own);

    // On request: what is sent to a group is heard from here on.
    for (const group of groups) await joinGroup(socket.conn, group);

    const stop = stopSignal();
    const close = () => socket[Symbol.dispose]();
    stop.addEventListener("abort", close);
    const where = formatAddress(socket.address);
    log.info("listening", `Listening on ${where}`, { address: where });

    // On request: what to type in another terminal.
    hint("udp_sender", "nc -u 127.0.0.1 8080");

    const output = new Output();
    output.failed.addEventListener("abort", close);
    const seen = output.terminal ? shownDatagram : (body: Uint8Array) => body;
    const rows = (body: Uint8Array) =>
      new TextEncoder().encode(hexDump(body) || "\n");
    const shown = hex ? rows : seen;
    const view = {
      isShown: true,
      body: (payload: Uint8Array, _: string): Uint8Array | undefined => payload,
    };

    // On request: on a terminal the figures take the place of the datagrams.
    using reception = options.stats
      ? new (await import("../lib/udp/report.ts")).Reception()
      : undefined;
    if (reception) view.body = reception.record;
    if (reception) view.isShown = !output.terminal;

    const objectionTo = echoGuard(socket.address);
    // Details for the log; most datagrams have no line in it, and need none.
    const about = (peer: string, bytes: number) => ({ peer, bytes });
    let [received, from, isIn] = [0, "", true];
    let [port, hostname] = [0, ""]; // whose datagram was the last
    for await (const { payload: whole, peer } of socket.receive(timeout)) {
      // Most datagrams come from the sender of the one before.
      const isNew = peer.port !== port || peer.hostname !== hostname;
      if (isNew) ({ port, hostname } = peer);
      if (isNew) [from, isIn] = [formatAddress(peer), isWanted(peer)];
      if (!isIn) continue;
      const cut = whole.length > maxSize;
      const payload = cut ? whole.subarray(0, maxSize) : whole;
      const { length } = payload;
      if (isNew && view.isShown) {
        log.info("peer", `From ${from}:`, about(from, length));
      }
      if (log.verbose) {
        const text = `From ${from}, length ${length}`;
        log.debug("datagram", text, about(from, length));
      }
      const body = view.body(payload, from);
      if (!body) continue;
      const objection = echo && !cut && objectionTo(payload, peer);
      if (cut) {
        const text = `The datagram from ${from} is longer than ${maxSize}`;
        const loss = `${text} bytes: its end is lost (--max-size)`;
        log.error(loss, about(from, length));
      } else if (objection) {
        const text = `${from} gets no answer: ${objection}`;
        log.info("unanswered", text, about(from, length));
      } else if (echo) {
        // One peer that cannot be reached is no reason to leave the others.
        await socket.send(payload, peer)
          .catch(({ message }) => log.error(message, about(from, length)));
      }
      if (view.isShown) await output.write(shown(body));
      if (++received === options.count) break;
    }
    await output.finish();
    if (stop.aborted || received === options.count) return;
    const silence = `no datagram came within ${timeout! / 1000}s`;
    if (!options.count) return log.info("timeout", `Leaving: ${silence}`);
    const some = `${received} of ${options.count} datagrams came`;
    throw new Error(`Only ${some}: ${silence}`);
  },
});
