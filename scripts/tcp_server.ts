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
import { reasonFor } from "../lib/failure.ts";
import { readCertificate, readFile } from "../lib/files.ts";
import { FRAMING_NAMES, parseFraming } from "../lib/framing.ts";
import type { Log } from "../lib/log.ts";
import { MODES, runMode } from "../lib/modes.ts";
import { connectNats, parseNatsAddress } from "../lib/nats.ts";
import { OutputError } from "../lib/output.ts";
import { behindProxy } from "../lib/proxy_protocol.ts";
import { Relay } from "../lib/relay.ts";
import type { RoomListener } from "../lib/room.ts";
import { type Handler, isGonePeer, listen, serve } from "../lib/tcp.ts";

const GREETING = "Thank you for connecting";

const FRAMINGS = cli.suggesting(...FRAMING_NAMES);

const OPTIONS = {
  mode: option("MODE", "see below (echo)", cli.oneOf(...MODES), "echo", "m"),
  framing: option("FRAMING", "see below (raw)", FRAMINGS, undefined, "f"),
  greeting: option("TEXT", `for greet (${GREETING})`, cli.text, GREETING),
  maxFrame: option("SIZE", "longest message (64k)", cli.size, 65_536),
  maxConnections: option("N", "at a time (1000)", cli.integer(1), 1000),
  backlog: option("N", "may wait (4096)", cli.integer(1, 65_535), 4096),
  idleTimeout: option("DURATION", "close a silent connection", cli.duration),
  grace: option("DURATION", "to finish when stopped (5s)", cli.duration, 5000),
  once: toggle("serve one client, then exit"),
  cert: option("FILE", "certificate for TLS, PEM", cli.text),
  key: option("FILE", "its private key, PEM", cli.text),
  reusePort: toggle("share the port with other processes (Linux)"),
  proxyProtocol: toggle("behind a load balancer: see below"),
  relay: option("NATS", "share the room: see below", parseNatsAddress),
  relayCreds: option("FILE", "credentials for NATS", cli.text),
};

type Options = cli.Values<typeof OPTIONS>;

/** The command, as its help and its tests know it. */
export const command: cli.Command<typeof OPTIONS> = {
  name: "tcp_server",
  summary: "Serves TCP clients.",
  positionals: "[ADDRESS=127.0.0.1:1234]",
  most: 1,
  options: OPTIONS,
  epilogue: `
Modes:
  echo     sends back what comes, frame by frame if there is a framing
  greet    sends the greeting and closes
  chat     one client at a time talks with this keyboard; bye ends it
  room     passes each line to everyone else in the room
  discard  reads and says nothing
  chargen  sends characters until the client goes

Framings:
  raw  lines  fixed:N  u8  u16  u32  u16le  u32le  varint  netstring

Addresses:
  127.0.0.1:1234  :1234  [::1]:1234  tls://localhost:1234  unix:/tmp/socket

With --proxy-protocol every connection must begin with a PROXY header, version 1
or 2, which names the client. Whoever can connect can name any: listen where
only the load balancer reaches.

With --relay nats://HOST:PORT (or tls://) servers that share a NATS server share
the room. Its client comes from npm, when first asked for.
`,
  async run({ options, positionals: [place = "127.0.0.1:1234"], log }) {
    const address = cli.usage(() => listenAddress(place, options));
    const { mode, maxFrame, greeting, backlog, reusePort } = options;
    const framing = cli.usage(() => {
      const name = options.framing ?? (mode === "room" ? "lines" : "raw");
      return parseFraming(name, { maxFrameLength: maxFrame });
    });
    await using relay = await openRelay(options, log);
    using running = cli.usage(() =>
      runMode(mode, { framing, greeting, onRoomEvent: roomLog(log), relay })
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
    const handler = logged(running.handler, log);
    const proxied = options.proxyProtocol ? fromProxy(handler, log) : handler;
    await serve(listener, proxied, {
      signal,
      grace: options.grace,
      idleTimeout: options.idleTimeout,
      once: options.once,
      maxConnections: mode === "chat" ? 1 : options.maxConnections,
      onError(error, conn) {
        // With its screen gone, a chat has no sense.
        if (error instanceof OutputError) failed.abort(error);
        else logError(log, error, conn);
      },
    });
    failed.signal.throwIfAborted();
  },
};

function listenAddress(place: string, options: Options): Address {
  const address = parseAddress(place);
  const { cert, key } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new cli.UsageError("--cert and --key belong together");
  }
  if (address.transport === "tls" && cert === undefined) {
    throw new cli.UsageError("TLS needs --cert FILE and --key FILE");
  }
  if (address.transport === "udp") {
    throw new cli.UsageError("datagrams are for udp_receiver.ts");
  }
  if (cert !== undefined && options.proxyProtocol) {
    throw new cli.UsageError(
      "--proxy-protocol does not go with --cert: the PROXY header comes before the TLS handshake, with which Deno begins; leave TLS to the load balancer",
    );
  }
  return address.transport === "tcp" && cert !== undefined
    ? { ...address, transport: "tls" }
    : address;
}

async function openRelay(
  { mode, relay: address, relayCreds: path }: Options,
  log: Log,
): Promise<Relay | undefined> {
  if (address === undefined) {
    if (path === undefined) return undefined;
    throw new cli.UsageError("--relay-creds goes with --relay");
  }
  if (mode !== "room") throw new cli.UsageError("--relay is for --mode room");
  const credentials = path && { path, text: await readFile(path) };
  const nats = await connectNats(address, credentials || undefined);
  return new Relay(nats, (event, text) => log.info(event, text));
}

/** The address with the port that the system chose, if it was to choose. */
function listeningAddress(address: Address, listener: Deno.Listener): string {
  return "port" in address && "port" in listener.addr
    ? formatAddress({ ...address, port: listener.addr.port })
    : formatAddress(address);
}

function roomLog(log: Log): RoomListener {
  return (event, name, conn) =>
    log.info(event, `${peerName(conn)} ${event} as ${name}`, { name });
}

function logged(handler: Handler, log: Log): Handler {
  // What is kept for a line that nobody writes would be kept per connection.
  if (log.quiet) return handler;
  return async (conn) => {
    const peer = peerName(conn);
    log.info("connected", `${peer} connected`, { peer });
    await handler(conn);
    log.info("closed", `${peer} closed`, { peer });
  };
}

function fromProxy(handler: Handler, log: Log): Handler {
  let refused = 0;
  return behindProxy(handler, ({ message: reason }, conn) => {
    const peer = peerName(conn);
    const text = `${peer} refused: ${reason} (${++refused} refused so far)`;
    log.info("refused", text, { peer, reason, refused });
  });
}

function logError(log: Log, error: unknown, conn?: Deno.Conn): void {
  const reason = reasonFor(error);
  if (conn === undefined) {
    if (isGonePeer(error)) log.debug("gone", `A client was gone at once`);
    else log.error(`Cannot accept a connection: ${reason}`);
  } else {
    const peer = peerName(conn);
    log.info("dropped", `${peer} dropped: ${reason}`, { peer, reason });
  }
}

/** The other end of a unix socket mostly has no name. */
function peerName({ remoteAddr }: Deno.Conn): string {
  return remoteAddr.transport === "unix" && !remoteAddr.path
    ? "a local client"
    : formatAddress(remoteAddr);
}

if (import.meta.main) {
  Deno.exitCode = await cli.runCommand(command, Deno.args);
}
