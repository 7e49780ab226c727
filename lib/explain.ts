/**
 * Importing this module wraps Deno's socket calls: each is told on standard
 * error, with the calls in C and Python that it stands for. It works with any
 * program, from its first socket on:
 *
 *     deno run --allow-net --preload lib/explain.ts ANY.ts
 *
 * `stepListeners` hear each step; `printStep` is there from the beginning.
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { writeAll } from "./tcp/stream.ts";
import { safeLine } from "./text.ts";

/** A call on a socket that is done, or has failed. */
export interface SocketStep {
  /** The number of the socket: the first of the process is 1. */
  socket: number;
  /** When it was done, in milliseconds since the process began. */
  time: number;
  /** What happens, as `bind` or `send`, and to what, or how much. */
  name: string;
  what: string;
  /** The call in C and in Python. */
  c: string;
  python: string;
  /** The other side, and whether it comes from there. */
  peer?: string;
  incoming?: boolean;
  /** The first bytes of what was sent or received. */
  bytes?: Uint8Array;
  /** Why it failed. */
  error?: unknown;
}

/** Everything that is called with each step. */
export const stepListeners: Set<(step: SocketStep) => void> = new Set([
  printStep,
]);

// What goes through here is any program's, and may be anything.
// deno-lint-ignore no-explicit-any
type Loose = any;

/** What is said of a call, and what it gives in C. */
type CallWords = Partial<SocketStep> & {
  c: string;
  python: string;
  gives?: number;
};

/**
 * Deno's calls, and parts of them, in words. Each gets what the call gave (none
 * if it failed), the other side, and the arguments. No `what` means no news.
 */
const SOCKET_CALLS: Record<
  string,
  (result: Loose, peer: string, ...args: Loose[]) => CallWords
> = {
  create(_done, _peer, type, address) {
    const args = `${addressOf(address).family}, SOCK_${type}`;
    return {
      what: `a socket for ${type === "STREAM" ? "a stream" : "datagrams"}`,
      c: `fd = socket(${args}, 0)`,
      python: `s = socket.socket(${args})`,
    };
  },
  // Deno does so itself, before it binds.
  reuseAddress: () => ({
    name: "option",
    what: "SO_REUSEADDR on: a server may start again at once",
    c: "setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)",
    python: "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)",
  }),
  setNoDelay: (_done, _peer, on = true) => ({
    name: "option",
    what: `TCP_NODELAY ${on ? "on" : "off"}: small messages go out at once`,
    c: `setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ${Number(on)})`,
    python: `s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, ${
      Number(on)
    })`,
  }),
  bind(socket, _peer, address) {
    // The system may have chosen the port.
    const { text, python } = addressOf(socket?.addr ?? address);
    return { what: text, c: `bind(fd, ${text})`, python: `s.bind(${python})` };
  },
  listen: (_done, _peer, most) => ({
    what: `up to ${most} wait to be accepted`,
    c: `listen(fd, ${most})`,
    python: `s.listen(${most})`,
  }),
  accept(conn) {
    const peer = conn && addressOf(conn.remoteAddr).text;
    return {
      what: conn && `${peer} has connected`,
      c: "conn = accept(fd, …)",
      python: "conn, address = s.accept()",
      ...{ peer, incoming: true },
    };
  },
  connect(conn, _peer, to) {
    const { text, python } = addressOf(to);
    const from = conn ? `from ${addressOf(conn.localAddr).text} ` : "";
    return {
      what: `${from}to ${text}`,
      c: `connect(fd, ${text})`,
      python: `s.connect(${python})`,
      peer: text,
    };
  },
  startTls: (_tls, _peer, { hostname }) => ({
    name: "tls",
    what: `with ${hostname}`,
    c: "SSL_connect(ssl)",
    python: `context.wrap_socket(s, server_hostname="${hostname}")`,
  }),
  // Part of what `startTls` has told, so only a failure is news.
  handshake: () => ({
    name: "tls",
    c: "SSL_do_handshake(ssl)",
    python: "s.do_handshake()",
  }),
  read: (length, peer, buffer) => ({
    name: "receive",
    ...moved(length, buffer, "from", peer),
    c: `recv(fd, buffer, ${buffer.length}, 0)`,
    python: `data = s.recv(${buffer.length})`,
  }),
  write: (length, peer, bytes) => ({
    name: "send",
    ...moved(length, bytes, "to", peer),
    c: `send(fd, buffer, ${bytes.length}, 0)`,
    python: "s.send(data)",
  }),
  receive(datagram) {
    const [bytes, from] = datagram ?? [];
    const peer = from && addressOf(from).text;
    return {
      ...moved(bytes?.length, bytes, "from", peer),
      c: "recvfrom(fd, buffer, …)",
      python: "data, address = s.recvfrom(65535)",
    };
  },
  send(length, _peer, bytes, to) {
    const { text, python } = addressOf(to);
    return {
      what: `to ${text}`,
      ...moved(length, bytes, "to", text),
      c: `sendto(fd, buffer, ${bytes.length}, 0, ${text})`,
      python: `s.sendto(data, ${python})`,
    };
  },
  closeWrite: (_done, peer) => ({
    name: "half-close",
    what: `nothing more to ${peer}`,
    c: "shutdown(fd, SHUT_WR)",
    python: "s.shutdown(socket.SHUT_WR)",
  }),
  close: (_done, peer) => ({
    what: peer ? `the connection to ${peer}` : "the socket",
    c: "close(fd)",
    python: "s.close()",
  }),
};

/** What is said of bytes that came or went; nothing if the call failed. */
function moved(
  length: number | null | undefined,
  buffer: Uint8Array,
  way: "from" | "to",
  peer: string,
): Partial<CallWords> {
  const incoming = way === "from";
  if (length === undefined) return {};
  if (length === null) {
    return { what: "the end: the peer says no more", gives: 0, incoming };
  }
  const bytes = buffer.slice(0, Math.min(length, KEPT_BYTES));
  const text = new TextDecoder().decode(bytes.subarray(0, 16))
    .replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  const preview = `"${safeLine(text)}"${length > 16 ? "…" : ""}`;
  const what = `${length} bytes ${way} ${peer}: ${preview}`;
  return { what, gives: length, peer, incoming, bytes };
}

const KEPT_BYTES = 1024;
const observedSockets = new WeakMap<object, ObservedSocket>();

/** A socket whose calls are told. */
class ObservedSocket {
  static #count = 0;
  #number = ++ObservedSocket.#count;
  #open = true;
  #socket: Loose;

  /** Makes a call and tells of it; what comes of it is left as it is. */
  perform(method: string, args: Loose[], work: () => Loose): Loose {
    // A socket closes once, and what waits on it then has not failed.
    const wasOpen = this.#open;
    const closes = method === "close";
    if (closes) this.#open = false;
    const succeed = (result: Loose) => {
      if (closes ? wasOpen : this.#open) this.#tell(method, args, result);
      return result;
    };
    const fail = (error: Loose) => {
      if (closes ? wasOpen : this.#open) {
        this.#tell(method, args, undefined, error);
      }
      throw error;
    };
    let result: Loose;
    try {
      result = work();
    } catch (error) {
      fail(error);
    }
    if (!(result instanceof Promise)) return succeed(result);
    return result.then(succeed, fail);
  }

  #tell(method: string, args: Loose[], result: Loose, error?: Loose): void {
    try {
      // Each time anew: behind a proxy it becomes the client's.
      const { remoteAddr } = this.#socket ?? {};
      const peer = remoteAddr && addressOf(remoteAddr).text;
      const words = SOCKET_CALLS[method](result, peer, ...args);
      let { what, c, gives, ...rest } = words;
      if (error) {
        what = `${what ?? ""} fails: ${safeLine(String(error))}`.trim();
      }
      if (error) c += ` = ${`-1 ${error.code ?? ""}`.trim()}`;
      else if (gives !== undefined) c += ` = ${gives}`;
      if (what === undefined) return;
      const [socket, time] = [this.#number, performance.now()];
      const step = {
        socket,
        time,
        name: method,
        peer,
        ...rest,
        what,
        c,
        error,
      };
      for (const listener of stepListeners) listener(step);
    } catch {
      // A program may call with anything; Deno says what is wrong with that.
    }
  }

  /** Lets every call on the socket, from now on, tell what it does. */
  observe(socket: Loose): Loose {
    this.#socket = socket;
    observedSockets.set(socket, this);
    for (const method of [...Object.keys(SOCKET_CALLS), Symbol.dispose]) {
      const real = socket[method];
      if (typeof real !== "function") continue;
      const name = typeof method === "string" ? method : "close";
      socket[method] = (...args: Loose[]) =>
        this.perform(name, args, () => real.apply(socket, args));
    }
    const { accept } = socket;
    if (accept) {
      socket.accept = async () => new ObservedSocket().observe(await accept());
    }
    if (socket.read) {
      const readable = { value: readableOf(socket), configurable: true };
      const writable = { value: writableOf(socket), configurable: true };
      Object.defineProperties(socket, { readable, writable });
    }
    return socket;
  }
}

/** Like the real stream it reads nothing before it is asked to. */
function readableOf(socket: Loose): ReadableStream {
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: 65_536,
    async pull(controller) {
      const request = controller.byobRequest!;
      const length = await socket.read(request.view);
      if (length === null) {
        socket[Symbol.dispose]();
        controller.close();
      }
      request.respond(length ?? 0);
    },
    cancel: () => socket[Symbol.dispose](),
  });
}

function writableOf(socket: Loose): WritableStream {
  return new WritableStream({
    write: (bytes) => writeAll(socket, bytes),
    close: () => socket[Symbol.dispose](),
    abort: () => socket[Symbol.dispose](),
  });
}

{ // A block of its own: elsewhere these are other functions.
  const { connect, connectTls, startTls, listen, listenTls, listenDatagram } =
    Deno;
  Object.assign(Deno, {
    connect: (options: Loose) => connectObserved(connect, options),
    async connectTls(options: Loose) {
      const conn = await connectObserved(connectTls, options);
      observedSockets.get(conn)!.perform("startTls", [options], () => conn);
      return conn;
    },
    async startTls(conn: Loose, options: Loose) {
      const observed = observedSockets.get(conn) ?? new ObservedSocket();
      const work = () => startTls(conn, options);
      const tls = await observed.perform("startTls", [options], work);
      return observed.observe(tls);
    },
    listen: (options: Loose) => listenObserved(listen, "STREAM", options),
    listenTls: (options: Loose) => listenObserved(listenTls, "STREAM", options),
    listenDatagram: (options: Loose) =>
      listenObserved(listenDatagram, "DGRAM", options),
  });
}

async function connectObserved(real: Loose, options: Loose): Promise<Loose> {
  const observed = new ObservedSocket();
  const to = { hostname: "127.0.0.1", ...options };
  observed.perform("create", ["STREAM", to], () => {});
  return observed.observe(
    await observed.perform("connect", [to], () => real(options)),
  );
}

function listenObserved(real: Loose, type: string, options: Loose): Loose {
  const observed = new ObservedSocket();
  const address = { hostname: "0.0.0.0", tcpBacklog: 511, ...options };
  const isStream = type === "STREAM";
  observed.perform("create", [type, address], () => {});
  if (
    isStream && addressOf(address).family !== "AF_UNIX" &&
    Deno.build.os !== "windows"
  ) {
    observed.perform("reuseAddress", [], () => {});
  }
  const socket = observed.perform("bind", [address], () => real(options));
  if (isStream) observed.perform("listen", [address.tcpBacklog], () => {});
  return observed.observe(socket);
}

/** Writes an address as a person does, and as Python does. */
function addressOf(address: Loose) {
  const { transport, path, hostname, port } = address;
  if (/^unix/.test(transport)) {
    // The client of a unix socket has no path.
    const text = path ? `unix:${safeLine(path)}` : "a local peer";
    return { text, python: JSON.stringify(path ?? ""), family: "AF_UNIX" };
  }
  const text = formatAddress({ transport: "tcp", hostname, port });
  const python = safeLine(`("${hostname}", ${port})`);
  const family = hostname.includes(":") ? "AF_INET6" : "AF_INET";
  return { text: safeLine(text), python, family };
}

/** Writes a step to standard error at once, in lines that fit a terminal. */
export function printStep({ time, name, what, c, python }: SocketStep): void {
  // An option takes no time: it belongs to the step before.
  const elapsed = name === "option" ? "" : `${time.toFixed(1)} ms`;
  const first = `${elapsed.padStart(11)}  ${name.padEnd(10)} ${what}`;
  const indent = " ".repeat(13);
  try {
    const isTerminal = Deno.stderr.isTerminal();
    const width = isTerminal ? Deno.consoleSize().columns : Infinity;
    const calls = `${indent}C: ${c}   Python: ${python}`;
    const lines = calls.length <= width
      ? [first, calls]
      : [first, `${indent}C: ${c}`, `${indent}Python: ${python}`];
    const fitting = lines.map((line) =>
      line.length <= width ? line : `${line.slice(0, width - 1)}…`
    );
    let bytes = new TextEncoder().encode(`${fitting.join("\n")}\n`);
    while (bytes.length > 0) {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    }
  } catch {
    // Nobody is left to read it.
  }
}
