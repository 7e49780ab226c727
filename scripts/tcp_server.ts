#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Serves TCP clients: echo, a greeting, a chat with whoever is at the
 * keyboard, a room in which all hear each other.
 *
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
 *
 * Listens on loopback unless told otherwise; `0.0.0.0:1234` lets the network
 * in. TLS needs `--allow-read` for its two files as well, a unix socket
 * `--allow-read` and `--allow-write` for its path, `--relay` also
 * `--allow-net=HOST:PORT` for NATS, and `--allow-read` for credentials.
 *
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../lib/address.ts";
import * as cli from "../lib/cli.ts";
import { option, toggle } from "../lib/cli.ts";
import { ConnectionLog } from "../lib/connection_log.ts";
import { readCertificate, readFile } from "../lib/files.ts";
import { FRAMING_NAMES, parseFraming } from "../lib/framing.ts";
import type { Log } from "../lib/log.ts";
import { MODES, runMode } from "../lib/modes.ts";
import { connectNats, parseNatsAddress } from "../lib/nats.ts";
import { OutputError } from "../lib/output.ts";
import type { Relay } from "../lib/relay.ts";
import { listen, serve } from "../lib/tcp.ts";

const GREETING = "Thank you for connecting";

const FRAMINGS = cli.suggesting(...FRAMING_NAMES);

const OPTIONS = {
  mode: option("MODE", "see below (echo)", cli.oneOf(...MODES), "echo", "m"),
  greeting: option("TEXT", `for greet (${GREETING})`, cli.text),
  relay: option("ADDRESS", "share the room by NATS", parseNatsAddress),
  relayCreds: option("FILE", "credentials for NATS", cli.text),
  once: toggle("serve one client, then exit"),
  reusePort: toggle("share the port with other processes (Linux)"),
  proxyProtocol: toggle("believe the PROXY header, v1 or v2, that must come"),
  framing: option("FRAMING", "see below (raw)", FRAMINGS, undefined, "f"),
  maxFrame: option("SIZE", "longest message (64k)", cli.size),
  maxConnections: option("N", "at a time (1000)", cli.integer(1)),
  backlog: option("N", "may wait (4096)", cli.integer(1, 65_535), 4096),
  idleTimeout: option("DURATION", "close a silent connection", cli.duration),
  grace: option("DURATION", "to finish when stopped (5s)", cli.duration, 5000),
  cert: option("FILE", "certificate, PEM", cli.text),
  key: option("FILE", "its private key, PEM", cli.text),
};

type Options = cli.Values<typeof OPTIONS>;

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "tcp_server",
  summary: "Serves TCP clients.",
  positionals: "[ADDRESS=127.0.0.1:1234]",
  most: 1,
  options: OPTIONS,
  headings: {
    mode: "What it does",
    framing: "Messages",
    maxConnections: "Limits",
    cert: "TLS",
  },
  epilogue: `
Modes:      echo   sends back what comes     room     passes lines to all others
            greet  sends a greeting, closes  discard  reads and says nothing
            chat   is with this keyboard     chargen  sends without end
Framings:   raw lines fixed:N u8 u16 u32 u16le u32le varint netstring
Addresses:  127.0.0.1:1234 :1234 [::1]:1234 tls://localhost:1234 unix:/tmp/s
Relay:      nats://HOST:PORT or tls://HOST:PORT; all servers there are one room

Permission: --allow-net=HOST:PORT; for TLS --allow-read=FILE,FILE too; a unix
            socket: --allow-net=unix:PATH --allow-read=PATH --allow-write=PATH
Examples:
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts --framing lines
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts --mode chat
  deno run --allow-net=0.0.0.0:1234 scripts/tcp_server.ts 0.0.0.0:1234 -m room
`,
  async run({ options, positionals: [place = "127.0.0.1:1234"], log }) {
    const { mode, greeting = GREETING, backlog, reusePort } = options;
    const name = options.framing ?? (mode === "room" ? "lines" : "raw");
    const address = cli.usage(() => listenAddress(place, options, name));
    const limit = { maxFrameLength: options.maxFrame };
    const framing = cli.usage(() => parseFraming(name, limit));
    await using relay = await openRelay(options, log);
    const connections = new ConnectionLog(log);
    using running = cli.usage(() =>
      runMode(mode, {
        framing,
        greeting,
        onRoomEvent: connections.member.bind(connections),
        relay,
      })
    );
    const cert = options.cert && await readCertificate(options.cert);
    const key = options.key && await readFile(options.key);
    // Before anyone can know that it runs, and ask it to stop.
    const stop = cli.stopSignal();
    const listener = listen(address, { backlog, reusePort, cert, key });
    const where = listeningAddress(address, listener);
    const what = framing.name === "raw" ? mode : `${mode}, ${framing.name}`;
    const listening = { address: where, mode, framing: framing.name };
    log.info("listening", `Listening on ${where} (${what})`, listening);

    cli.hint(
      log,
      "In another terminal: deno run --allow-net scripts/tcp_client.ts (or nc 127.0.0.1 1234)",
    );

    const failed = new AbortController();
    const signal = AbortSignal.any([stop, failed.signal]);
    signal.addEventListener("abort", () => {
      const grace = `${options.grace / 1000}s`;
      log.info("stopping", `Stopping: open connections have ${grace} to end`);
    });
    const handler = connections.telling(running.handler);
    const { proxyProtocol } = options;
    await serve(
      listener,
      proxyProtocol ? connections.behindProxy(handler) : handler,
      {
        signal,
        grace: options.grace,
        idleTimeout: options.idleTimeout,
        once: options.once,
        maxConnections: mode === "chat" ? 1 : options.maxConnections,
        onError(error, conn) {
          // With its screen gone, a chat has no sense.
          if (error instanceof OutputError) failed.abort(error);
          else connections.failed(error, conn);
        },
      },
    );
    failed.signal.throwIfAborted();
  },
};

function listenAddress(
  place: string,
  options: Options,
  framing: string,
): Address {
  const address = parseAddress(place);
  const { transport } = address;
  const { mode, cert, key } = options;
  const deaf = mode === "discard" || mode === "chargen";
  cli.refuse({
    "datagrams are for udp_receiver.ts": transport === "udp",
    "--cert and --key belong together": !cert !== !key,
    "TLS needs --cert FILE and --key FILE": transport === "tls" && !cert,
    "--proxy-protocol does not go with --cert: the PROXY header comes before the TLS handshake, with which Deno begins; leave TLS to the load balancer":
      cert && options.proxyProtocol,
    "--reuse-port needs a port": options.reusePort && transport === "unix",
    "--greeting needs --mode greet": options.greeting && mode !== "greet",
    "--max-frame needs a --framing": options.maxFrame && framing === "raw",
    [`--mode ${mode} takes no --framing`]: deaf && options.framing,
    "--mode chat takes no --max-connections, it is with one client at a time":
      mode === "chat" && options.maxConnections,
  });
  return transport === "tcp" && cert
    ? { ...address, transport: "tls" }
    : address;
}

async function openRelay(
  { mode, relay: address, relayCreds: path }: Options,
  log: Log,
): Promise<Relay | undefined> {
  if (address === undefined) {
    cli.refuse({ "--relay-creds goes with --relay": path });
    return undefined;
  }
  cli.refuse({ "--relay is for --mode room": mode !== "room" });
  const credentials = path && { path, text: await readFile(path) };
  const nats = await connectNats(address, credentials || undefined);
  const tell = (event: string, text: string) => log.info(event, text);
  return new (await import("../lib/relay.ts")).Relay(nats, tell);
}

/** The address with the port that the system chose, if it was to choose. */
function listeningAddress(address: Address, listener: Deno.Listener): string {
  return "port" in address && "port" in listener.addr
    ? formatAddress({ ...address, port: listener.addr.port })
    : formatAddress(address);
}

if (import.meta.main) {
  Deno.exitCode = await cli.runCommand(command, Deno.args);
}
