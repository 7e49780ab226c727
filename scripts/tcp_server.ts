#!/usr/bin/env -S deno run --no-prompt --allow-net
/**
 * Serves TCP clients: echo, a greeting, a room in which all hear each other.
 * Listens on loopback only; `0.0.0.0:1234` lets the network in.
 *
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts
 *     deno run --allow-net=127.0.0.1:1234 scripts/tcp_client.ts
 *
 * @module
 */
import { formatAddress, parseAddress } from "../lib/address.ts";
import { hint, log, runCommand, stopSignal } from "../lib/command/command.ts";
import { ClientLog } from "../lib/command/clients.ts";
import { duration, framingFrom, integer } from "../lib/command/options.ts";
import { FRAMING_OPTIONS, natsAddress, oneOf } from "../lib/command/options.ts";
import { list, option, PIPE_OPTIONS, refuse } from "../lib/command/options.ts";
import { toggle, usage } from "../lib/command/options.ts";
import { Room } from "../lib/modes/room.ts";
import { answer, encodeGreeting, unchanged } from "../lib/modes/services.ts";
import { generateCharacters, greet } from "../lib/modes/services.ts";
import { type Handler, listen, serve, type ServeOptions } from "../lib/tcp.ts";
import { readPem, resolveName } from "../lib/tcp/connect.ts";
import { discard } from "../lib/tcp/stream.ts";

const MODES = ["echo", "greet", "room", "discard", "chargen"];
const MODES_HELP = [`
Modes:      echo     sends all back   greet    a greeting   room  a group chat
            discard  reads only       chargen  sends only
`];

// On request: loaded when asked for; `eject` leaves it out of copies.
MODES.splice(2, 0, "chat", "pipe", "forward");
MODES_HELP.push(`\
            chat     by keyboard      forward  to --to      pipe  stdin, stdout
`);

const GREETING = "Thank you for connecting";
const OPTIONS = {
  mode: option("MODE", "see below (echo)", oneOf(...MODES), "echo", "m"),
  greeting: option("TEXT", `what greet says (${GREETING})`, String, GREETING),

  // On request: not in a copy.
  to: option("ADDRESS", "for forward; needs --allow-net=ADDRESS, too", String),
  ...PIPE_OPTIONS,
  hex: toggle("show both directions in hexadecimal"),
  relay: option("ADDRESS", "share the room: nats://HOST:PORT", natsAddress),
  relayCreds: option("FILE", "credentials for NATS", String),
  from: list("ADDRESS|CIDR", "serve these peers only; may be repeated"),
  proxyProtocol: toggle("expect a PROXY header, and believe it"),
  idleTimeout: option("DURATION", "close a silent connection", duration),

  ...FRAMING_OPTIONS,
  once: toggle("serve one client, then exit"),
  maxConnections: option("N", "connections at a time (1000)", integer(1), 1000),
  backlog: option("N", "clients that may wait (4096)", integer(1, 65_535)),
  grace: option("DURATION", "time to finish at a stop (5s)", duration, 5000),
  reusePort: toggle("share the port with other processes (Linux)"),
  cert: option("FILE", "certificate, PEM", String),
  key: option("FILE", "its private key, PEM", String),
};

await runCommand({
  name: "tcp_server",
  summary: "Serves TCP clients.",
  positionals: "[ADDRESS=127.0.0.1:1234]",
  options: OPTIONS,
  headings: { mode: "What it does", once: "Connections" },
  epilogue: `${MODES_HELP.join("").trim()}
Framings:   raw lines fixed:N u8 u16 u32 u16le u32le varint netstring
Addresses:  127.0.0.1:1234 :1234 [::1]:1234 tls://localhost:1234 unix:/tmp/s
Permission: --allow-net=HOST:PORT; for TLS --allow-read=FILE,FILE too; a unix
            socket: --allow-net=unix:PATH --allow-read=PATH --allow-write=PATH
Examples:
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts --framing lines
  deno run --allow-net=127.0.0.1:1234 scripts/tcp_server.ts --mode greet
  deno run --allow-net=0.0.0.0:1234 scripts/tcp_server.ts 0.0.0.0:1234 -m room
`,
  async run({ options, positionals: [place = "127.0.0.1:1234"] }) {
    const { mode, grace, greeting: text } = options;
    const framing = framingFrom(options, mode === "room" ? "lines" : "raw");
    const address = usage(() => parseAddress(place));
    const { transport } = address;
    refuse({
      "datagrams are for udp_receiver.ts": transport === "udp",
      "--cert and --key belong together": !options.cert !== !options.key,
      "TLS needs --cert FILE and --key FILE": transport === "tls" &&
        !options.cert,
      "--cert needs a port, a unix socket has no TLS": options.cert &&
        transport === "unix",
      "--reuse-port needs a port": options.reusePort && transport === "unix",
      "--greeting needs --mode greet": mode !== "greet" && text !== GREETING,

      // On request: what only these modes have.
      "--to needs --mode forward": options.to && mode !== "forward",
      "--relay is for --mode room": options.relay && mode !== "room",
      "--relay-creds goes with --relay": options.relayCreds && !options.relay,
      "--mode chat takes no --max-connections, it is with one client at a time":
        mode === "chat" && options.maxConnections !== 1000,
      "--no-stdin, --crlf and --hex need --mode pipe": mode !== "pipe" &&
        (options.noStdin || options.crlf || options.hex),

      [`--mode ${mode} takes no --framing`]: framing.name !== "raw" &&
        /^(discard|chargen|forward)$/.test(mode),
      [`--mode room takes no ${framing.name}, in which names could be forged`]:
        mode === "room" && /^(raw|fixed:\d+)$/.test(framing.name),
      "--mode room needs messages of 64 bytes or more": mode === "room" &&
        framing.maxFrameLength < 64,
    });
    if (options.cert && transport === "tcp") address.transport = "tls";
    const words = mode === "greet" ? text : "";
    const greeting = usage(() => encodeGreeting(words, framing));
    const serving: ServeOptions = { ...options };
    using clients = new ClientLog();
    const room = new Room(framing, (event, name, conn) => {
      clients.tell(event, conn, ` as ${name}`, { name });
    });

    // On request: one room with those of other servers.
    await using relay = options.relay
      ? await (await import("../lib/modes/relay.ts"))
        .openRelay(room, options.relay, options.relayCreds, log)
      : undefined;
    room.relay = relay ?? room.relay;

    // What happens on a connection. To let echo say other things, replace
    // `unchanged`: a function from a message's bytes to its reply's.
    const modes: Record<string, Handler> = {
      echo: (conn) => answer(conn, framing, unchanged),
      greet: (conn) => greet(conn, greeting),
      room: (conn) => room.join(conn),
      discard,
      chargen: generateCharacters,
    };

    // On request: two more modes, and who is let in.
    if (mode === "forward") {
      const { forwardTo } = await import("../lib/modes/forward.ts");
      modes.forward = usage(() => forwardTo(options.to));
    }
    if (mode === "pipe") {
      const { pipe } = await import("../lib/modes/pipe.ts");
      modes.pipe = (conn) => pipe(conn, framing, { ...options, stop });
      serving.once ||= !options.noStdin;
    }
    if (options.from.length > 0 || options.proxyProtocol) {
      const { openGate } = await import("../lib/command/gate.ts");
      serving.admit = openGate(options, address.transport, clients);
    }

    const cert = options.cert && await readPem(options.cert, "certificate");
    const key = options.key && await readPem(options.key, "private key");
    const resolved = await resolveName(address, "listen on");
    using listener = listen(resolved, { ...options, cert, key });
    // Not sooner: while Deno itself looks a name up, it hears no signal.
    const stop = stopSignal(grace + 1000, transport === "unix");
    // The system has chosen a port for 0, or one of a name's addresses.
    Object.assign(address, listener.addr, { transport: address.transport });
    clients.listening(formatAddress(address), mode, framing.name);
    stop.addEventListener("abort", () => clients.stopping(grace));

    // On request: what to type elsewhere, and a chat with one at a time.
    hint("tcp_client", "nc 127.0.0.1 1234");
    await using prompt = mode === "chat"
      ? await (await import("../lib/command/prompt.ts")).openPrompt()
      : undefined;
    if (prompt) {
      const { chat } = await import("../lib/modes/chat.ts");
      modes.chat = (conn) => chat(conn, framing, prompt, { signal: stop });
      serving.maxConnections = 1;
    }

    // Each connection is closed when its function has ended.
    await serve(listener, (conn) => clients.serve(conn, modes[mode]), {
      ...serving,
      signal: stop,
      onEnd: (conn) => clients.closed(conn),
      onError: (error, conn) => clients.fail(error, conn, serving.once),
    });
  },
});
