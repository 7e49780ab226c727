#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Serves TCP clients: echo, a greeting, a chat with whoever is at the
 * keyboard, a room in which all hear each other. Listens on loopback unless
 * told otherwise; `0.0.0.0:1234` lets the network in.
 *
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
 *
 * @module
 */
import { formatAddress, parseAddress } from "../lib/address.ts";
import type { Command } from "../lib/command/command.ts";
import { hint, runCommand, stopSignal } from "../lib/command/command.ts";
import { duration, integer, oneOf, size } from "../lib/command/options.ts";
import { natsAddress, option, refuse } from "../lib/command/options.ts";
import { text, toggle, usage } from "../lib/command/options.ts";
import { OutputError } from "../lib/command/output.ts";
import { openPrompt } from "../lib/command/prompt.ts";
import { parseFraming } from "../lib/framing.ts";
import { chat } from "../lib/modes/chat.ts";
import { LEAST_ROOM_MESSAGE, Room } from "../lib/modes/room.ts";
import { answer, unchanged } from "../lib/modes/services.ts";
import { generateCharacters, greet } from "../lib/modes/services.ts";
import { listen, serve } from "../lib/tcp.ts";
import { readCertificate, readKey } from "../lib/tcp/certificates.ts";
import { reasonFor } from "../lib/tcp/errors.ts";
import { ProxyError, readProxyHeader } from "../lib/tcp/proxy_protocol.ts";
import { resolveName } from "../lib/tcp/resolve.ts";
import { discard } from "../lib/tcp/stream.ts";

const MODES = oneOf("echo", "greet", "chat", "room", "discard", "chargen");
const GREETING = "Thank you for connecting";

const OPTIONS = {
  mode: option("MODE", "see below (echo)", MODES, "echo", "m"),
  greeting: option("TEXT", `for greet (${GREETING})`, text),

  // On request: a room that spans servers.
  relay: option("ADDRESS", "share the room: nats://HOST:PORT", natsAddress),
  relayCreds: option("FILE", "credentials for NATS", text),

  once: toggle("serve one client, then exit"),
  reusePort: toggle("share the port with other processes (Linux)"),
  proxyProtocol: toggle("believe the PROXY header, v1 or v2, that must come"),
  framing: option("FRAMING", "see below (raw)", text, undefined, "f"),
  maxFrame: option("SIZE", "longest message (64k)", size),
  maxConnections: option("N", "at a time (1000)", integer(1)),
  backlog: option("N", "may wait at most (4096)", integer(1, 65_535), 4096),
  idleTimeout: option("DURATION", "close a silent connection", duration),
  grace: option("DURATION", "to finish when stopped (5s)", duration, 5000),
  cert: option("FILE", "certificate, PEM", text),
  key: option("FILE", "its private key, PEM", text),
};

export const command: Command<typeof OPTIONS> = {
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

Permission: --allow-net=HOST:PORT; for TLS --allow-read=FILE,FILE too; a unix
            socket: --allow-net=unix:PATH --allow-read=PATH --allow-write=PATH
Examples:
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts --framing lines
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts --mode chat
  deno run --allow-net=0.0.0.0:1234 scripts/tcp_server.ts 0.0.0.0:1234 -m room
`,
  async run({ options, positionals: [place = "127.0.0.1:1234"], log }) {
    const { mode, grace, maxFrame: maxFrameLength } = options;
    const name = options.framing ?? (mode === "room" ? "lines" : "raw");
    const address = usage(() => parseAddress(place));
    const { transport } = address;
    const deaf = mode === "discard" || mode === "chargen";
    refuse({
      "datagrams are for udp_receiver.ts": transport === "udp",
      "--cert and --key belong together": !options.cert !== !options.key,
      "TLS needs --cert FILE and --key FILE": transport === "tls" &&
        !options.cert,
      "--proxy-protocol does not go with --cert: the PROXY header comes before the TLS handshake, with which Deno begins; leave TLS to the load balancer":
        options.cert && options.proxyProtocol,
      "--reuse-port needs a port": options.reusePort && transport === "unix",
      "--greeting needs --mode greet": options.greeting && mode !== "greet",
      "--max-frame needs a --framing": maxFrameLength && name === "raw",
      [`--mode ${mode} takes no --framing`]: deaf && options.framing,
      "--mode chat takes no --max-connections, it is with one client at a time":
        mode === "chat" && options.maxConnections,
    });
    if (options.cert && transport === "tcp") address.transport = "tls";
    const framing = usage(() => parseFraming(name, { maxFrameLength }));
    refuse({
      [`--mode room takes no ${name}, in which names could be forged`]:
        mode === "room" && /^(raw|fixed:\d+)$/.test(name),
      [`--mode room needs messages of ${LEAST_ROOM_MESSAGE} bytes or more`]:
        mode === "room" && framing.maxFrameLength < LEAST_ROOM_MESSAGE,
    });
    const words = mode === "greet" ? options.greeting ?? GREETING : "";
    const bytes = new TextEncoder().encode(words);
    const greeting = usage(() => framing.encode(bytes));

    function tell(event: string, conn: Deno.Conn, more = "", details = {}) {
      if (log.quiet) return;
      // The other end of a unix socket mostly has no name.
      const nameless = "path" in conn.remoteAddr && !conn.remoteAddr.path;
      const peer = nameless ? "a local client" : formatAddress(conn.remoteAddr);
      log.info(event, `${peer} ${event}${more}`, { peer, ...details });
    }

    await using room = new Room(framing, (event, name, conn) => {
      tell(event, conn, ` as ${name}`, { name });
    });

    // On request: one room with those of other servers.
    const { relay: nats, relayCreds } = options;
    refuse({
      "--relay-creds goes with --relay": relayCreds && !nats,
      "--relay is for --mode room": nats && mode !== "room",
    });
    if (nats) {
      const { openRelay } = await import("../lib/modes/relay.ts");
      room.relay = await openRelay(room, nats, relayCreds, log);
    }

    const cert = options.cert && await readCertificate(options.cert);
    const key = options.key && await readKey(options.key);
    const resolved = await resolveName(address, "listen on");
    using listener = listen(resolved, { ...options, cert, key });
    // At a file the socket's own one is removed when the terminal is closed, too.
    const hangUp = transport === "unix" ? ["SIGHUP"] as const : [];
    const stop = stopSignal(grace + 3000, ...hangUp);
    // The system has chosen the port for 0, and one of the addresses of a name.
    Object.assign(address, listener.addr, { transport: address.transport });
    const where = formatAddress(address);
    const what = name === "raw" ? mode : `${mode}, ${name}`;
    const about = { address: where, mode, framing: name };
    log.info("listening", `Listening on ${where} (${what})`, about);
    hint(log, "tcp_client", "nc 127.0.0.1 1234");
    let [open, refused] = [0, 0];
    const most = `${grace / 1000}s to end; a second signal ends them at once`;
    stop.addEventListener("abort", () => {
      if (open === 0) return;
      log.info("stopping", `Stopping: open connections have ${most}`);
    });

    await using prompt = mode === "chat" ? await openPrompt(log) : undefined;
    // What happens on a connection. With another function than `unchanged`,
    // from the bytes of a message to those of its reply, echo says other things.
    const modes: Record<typeof mode, (conn: Deno.Conn) => Promise<unknown>> = {
      echo: (conn) => answer(conn, framing, unchanged),
      greet: (conn) => greet(conn, greeting),
      chat: (conn) => chat(conn, framing, prompt!, { signal: stop }),
      room: (conn) => room.join(conn),
      discard,
      chargen: generateCharacters,
    };
    // Accepts one connection after the other; many can be open at a time. Each
    // is closed when this function has ended for it, whatever it throws.
    await serve(listener, async (conn) => {
      if (options.proxyProtocol) await readProxyHeader(conn);
      tell("connected", conn);
      open++;
      await modes[mode](conn).finally(() => open--);
      tell("closed", conn);
    }, {
      ...options,
      signal: stop,
      maxConnections: mode === "chat" ? 1 : options.maxConnections,
      onError(error, conn) {
        if (error instanceof OutputError) throw error; // its screen is gone
        const reason = reasonFor(error);
        if (!conn) log.error(`Cannot accept a connection: ${reason}`);
        else if (error instanceof ProxyError) {
          const text = `: ${reason} (${++refused} refused so far)`;
          tell("refused", conn, text, { reason, refused });
        } else tell("dropped", conn, `: ${reason}`, { reason });
      },
    });
  },
};

if (import.meta.main) Deno.exit(await runCommand(command, Deno.args));
