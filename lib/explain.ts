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

/** What is said of a call; `what` says no more than where to, if it failed. */
interface CallWords {
  c: string;
  python: string;
  /** The name of the step, if not the method's. */
  name?: string;
  /** Nothing if that it is done is no news. */
  what?: string;
  /** What it gives in C. */
  gives?: number;
  peer?: string;
  incoming?: boolean;
  bytes?: Uint8Array;
}

/**
 * Deno's calls, and parts of them, in words. Each gets what the call gave, or
 * nothing if it failed, the other side, and what it was called with.
 */
const SOCKET_CALLS: Record<
  string,
  (result: Loose, peer: string, ...args: Loose[]) => CallWords
> = {
  create(_done, _peer, type, address) {
    const args = `${familyOf(address)}, SOCK_${type}`;
    return {
      what: `a socket for ${type === "STREAM" ? "a stream" : "datagrams"}`,
      c: `fd = socket(${args}, 0)`,
      python: `s = socket.socket(${args})`,
    };
  },
  option: (_done, _peer, level, key, value, meaning) => ({
    what: `${key} ${value ? "on" : "off"}: ${meaning}`,
    c: `setsockopt(fd, ${level}, ${key}, ${value})`,
    python: `s.setsockopt(socket.${level}, socket.${key}, ${value})`,
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
    if (method === "close") this.#open = false;
    const tell = (result: Loose, error?: Loose) => {
      const isNews = method === "close" ? wasOpen : this.#open;
      if (isNews) this.#tell(method, args, result, error);
    };
    const succeed = (result: Loose) => {
      tell(result);
      return result;
    };
    const fail = (error: Loose) => {
      tell(undefined, error ?? "");
      throw error;
    };
    let result: Loose;
    try {
      result = work();
    } catch (error) {
      fail(error);
    }
    return result instanceof Promise
      ? result.then(succeed, fail)
      : succeed(result);
  }

  #tell(method: string, args: Loose[], result: Loose, error: Loose): void {
    try {
      // Each time anew: behind a proxy it becomes the client's.
      const { remoteAddr } = this.#socket ?? {};
      const peer = remoteAddr ? addressOf(remoteAddr).text : "";
      const words = SOCKET_CALLS[method](result, peer, ...args);
      const { name = method, what = "", c, gives, ...rest } = words;
      if (what === "" && error === undefined) return;
      const given = error ? `-1 ${error.code ?? ""}`.trim() : gives;
      const step: SocketStep = {
        socket: this.#number,
        time: performance.now(),
        peer: peer || undefined,
        ...rest,
        name,
        what: error
          ? `${what} fails: ${safeLine(String(error))}`.trimStart()
          : what,
        c: given === undefined ? c : `${c} = ${given}`,
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
    const { accept, setNoDelay } = socket;
    for (const method of [...Object.keys(SOCKET_CALLS), Symbol.dispose]) {
      const real = socket[method];
      if (typeof real !== "function") continue;
      const name = typeof method === "string" ? method : "close";
      socket[method] = (...args: Loose[]) =>
        this.perform(name, args, () => real.apply(socket, args));
    }
    if (accept) {
      const tell = socket.accept;
      socket.accept = async () => new ObservedSocket().observe(await tell());
    }
    if (setNoDelay) {
      socket.setNoDelay = (on = true) =>
        this.perform(
          "option",
          [
            ...["IPPROTO_TCP", "TCP_NODELAY", Number(on)],
            "small messages go out at once",
          ],
          () => setNoDelay.call(socket, on),
        );
    }
    if ("readable" in socket) {
      const readable = readableOf(socket);
      const writable = writableOf(socket);
      Object.defineProperties(socket, {
        readable: { get: () => readable, configurable: true },
        writable: { get: () => writable, configurable: true },
      });
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
    async write(bytes) {
      for (let sent = 0; sent < bytes.length;) {
        sent += await socket.write(bytes.subarray(sent));
      }
    },
    close: () => socket[Symbol.dispose](),
    abort: () => socket[Symbol.dispose](),
  });
}

/** Wraps the functions that make a socket. */
function wrapSocketCalls(): void {
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

wrapSocketCalls();

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
  if (isStream && !isUnix(address) && Deno.build.os !== "windows") {
    const option = ["SOL_SOCKET", "SO_REUSEADDR", 1]; // Deno sets it itself
    const meaning = "a server may start again at once";
    observed.perform("option", [...option, meaning], () => {});
  }
  const socket = observed.perform("bind", [address], () => real(options));
  if (isStream) observed.perform("listen", [address.tcpBacklog], () => {});
  return observed.observe(socket);
}

function isUnix({ transport }: Loose): boolean {
  return /^unix/.test(transport);
}

function familyOf(address: Loose): string {
  if (isUnix(address)) return "AF_UNIX";
  return address.hostname.includes(":") ? "AF_INET6" : "AF_INET";
}

/** Writes an address as a person does, and as Python does. */
function addressOf(address: Loose): { text: string; python: string } {
  if (isUnix(address)) {
    const { path } = address; // the client of a unix socket has none
    const text = path ? `unix:${safeLine(path)}` : "a local peer";
    return { text, python: JSON.stringify(path ?? "") };
  }
  const { hostname, port } = address;
  const text = formatAddress({ transport: "tcp", hostname, port });
  return { text: safeLine(text), python: safeLine(`("${hostname}", ${port})`) };
}

/** Writes a step to standard error at once, in lines that fit a terminal. */
export function printStep({ time, name, what, c, python }: SocketStep): void {
  // An option takes no time: it belongs to the step before.
  const elapsed = name === "option" ? "" : `${time.toFixed(1)} ms`;
  const first = `${elapsed.padStart(11)}  ${name.padEnd(10)} ${what}`;
  const indent = " ".repeat(13);
  const calls = `${indent}C: ${c}   Python: ${python}`;
  try {
    const width = Deno.stderr.isTerminal()
      ? Deno.consoleSize().columns
      : Infinity;
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
