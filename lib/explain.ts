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

/** A call in words. */
interface CallWords {
  name: string;
  /** The call in C and in Python. */
  calls: (...args: Loose[]) => [c: string, python: string];
  /** What to say of a failed call, before the error. */
  aim?: (...args: Loose[]) => string;
  /** What to say of a call that is done; nothing if that is no news. */
  done?: (result: Loose, peer: string, ...args: Loose[]) => Outcome;
}

/** What came of a call; `gives` is what it gives in C. */
type Outcome = Partial<SocketStep> & {
  what: string;
  gives?: number | string;
};

const CLOSING: CallWords = {
  name: "close",
  calls: () => ["close(fd)", "s.close()"],
  done: (_nothing, peer) => ({
    what: peer === "" ? "the socket" : `the connection to ${peer}`,
  }),
};

/** Deno's calls, and parts of them: their words in C and Python. */
const SOCKET_CALLS: Record<PropertyKey, CallWords> = {
  create: {
    name: "create",
    calls: (type, address) => {
      const args = `${familyOf(address)}, SOCK_${type}`;
      return [`fd = socket(${args}, 0)`, `s = socket.socket(${args})`];
    },
    done: (_nothing, _peer, type) => ({
      what: `a socket for ${type === "STREAM" ? "a stream" : "datagrams"}`,
    }),
  },
  option: {
    name: "option",
    calls: (level, key, value) => [
      `setsockopt(fd, ${level}, ${key}, ${value})`,
      `s.setsockopt(socket.${level}, socket.${key}, ${value})`,
    ],
    done: (_nothing, _peer, _level, key, value, meaning) => ({
      what: `${key} ${value ? "on" : "off"}: ${meaning}`,
    }),
  },
  bind: {
    name: "bind",
    calls: (address) => {
      const { text, python } = addressOf(address);
      return [`bind(fd, ${text})`, `s.bind(${python})`];
    },
    aim: (address) => addressOf(address).text,
    done: (_socket, _peer, address) => ({ what: addressOf(address).text }),
  },
  listen: {
    name: "listen",
    calls: (most) => [`listen(fd, ${most})`, `s.listen(${most})`],
    done: (_nothing, _peer, most) => ({
      what: `up to ${most} wait to be accepted`,
    }),
  },
  accept: {
    name: "accept",
    calls: () => ["conn = accept(fd, …)", "conn, address = s.accept()"],
    done: ({ remoteAddr }) => {
      const peer = addressOf(remoteAddr).text;
      return { what: `${peer} has connected`, peer, incoming: true };
    },
  },
  connect: {
    name: "connect",
    calls: (to) => {
      const { text, python } = addressOf(to);
      return [`connect(fd, ${text})`, `s.connect(${python})`];
    },
    aim: (to) => `to ${addressOf(to).text}`,
    done: ({ localAddr }, _peer, to) => {
      const peer = addressOf(to).text;
      return { what: `from ${addressOf(localAddr).text} to ${peer}`, peer };
    },
  },
  startTls: {
    name: "tls",
    calls: ({ hostname }) => [
      "SSL_connect(ssl)",
      `context.wrap_socket(s, server_hostname="${hostname}")`,
    ],
    aim: ({ hostname }) => `with ${hostname}`,
    done: (_tls, _peer, { hostname }) => ({ what: `with ${hostname}` }),
  },
  // Part of what `startTls` has told, so only a failure is news.
  handshake: {
    name: "tls",
    calls: () => ["SSL_do_handshake(ssl)", "s.do_handshake()"],
  },
  read: {
    name: "receive",
    calls: ({ length }) => [
      `recv(fd, buffer, ${length}, 0)`,
      `data = s.recv(${length})`,
    ],
    done: (length, peer, buffer) =>
      length === null
        ? { what: "the end: the peer says no more", gives: 0, incoming: true }
        : received(buffer.subarray(0, length), peer),
  },
  write: {
    name: "send",
    calls: ({ length }) => [`send(fd, buffer, ${length}, 0)`, "s.send(data)"],
    done: (length, peer, bytes) => sent(bytes.subarray(0, length), peer),
  },
  receive: {
    name: "receive",
    calls: () => [
      "recvfrom(fd, buffer, …)",
      "data, address = s.recvfrom(65535)",
    ],
    done: ([bytes, from]) => received(bytes, addressOf(from).text),
  },
  send: {
    name: "send",
    calls: ({ length }, to) => {
      const { text, python } = addressOf(to);
      const c = `sendto(fd, buffer, ${length}, 0, ${text})`;
      return [c, `s.sendto(data, ${python})`];
    },
    aim: (_bytes, to) => `to ${addressOf(to).text}`,
    done: (_length, _peer, bytes, to) => sent(bytes, addressOf(to).text),
  },
  closeWrite: {
    name: "half-close",
    calls: () => ["shutdown(fd, SHUT_WR)", "s.shutdown(socket.SHUT_WR)"],
    done: (_nothing, peer) => ({ what: `nothing more to ${peer}` }),
  },
  close: CLOSING,
  [Symbol.dispose]: CLOSING,
};

function received(bytes: Uint8Array, peer: string): Outcome {
  const what = `${bytes.length} bytes from ${peer}: ${preview(bytes)}`;
  return { what, gives: bytes.length, peer, incoming: true, bytes };
}

function sent(bytes: Uint8Array, peer: string): Outcome {
  const what = `${bytes.length} bytes to ${peer}: ${preview(bytes)}`;
  return { what, gives: bytes.length, peer, bytes };
}

function failed({ aim }: CallWords, args: Loose[], error: Loose): Outcome {
  const aimed = aim === undefined ? "" : `${aim(...args)} `;
  const what = `${aimed}fails: ${safeLine(String(error))}`;
  return { what, gives: `-1 ${error?.code ?? ""}`.trim(), error };
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
  perform(method: PropertyKey, args: Loose[], work: () => Loose): Loose {
    const words = SOCKET_CALLS[method];
    const wasOpen = this.#open;
    if (words === CLOSING) this.#open = false;
    // A socket closes once, and what waits on it then has not failed.
    const isNews = () => words === CLOSING ? wasOpen : this.#open;
    const succeed = (result: Loose) => {
      const { done } = words;
      if (isNews() && done !== undefined) {
        this.#tell(words, args, (peer) => done(result, peer, ...args));
      }
      return result;
    };
    const fail = (error: Loose) => {
      if (isNews()) this.#tell(words, args, () => failed(words, args, error));
      throw error;
    };
    try {
      const result = work();
      if (!(result instanceof Promise)) return succeed(result);
      return result.then(succeed, fail);
    } catch (error) {
      return fail(error);
    }
  }

  #tell(
    { name, calls }: CallWords,
    args: Loose[],
    outcomeOf: (peer: string) => Outcome,
  ): void {
    try {
      // Each time anew: behind a proxy it becomes the client's.
      const { remoteAddr } = this.#socket ?? {};
      const peer = remoteAddr ? addressOf(remoteAddr).text : "";
      const { gives, ...outcome } = outcomeOf(peer);
      const [c, python] = calls(...args);
      const step = {
        ...{ socket: this.#number, time: performance.now(), name },
        ...{ c: gives === undefined ? c : `${c} = ${gives}`, python },
        ...{ peer: peer || undefined, ...outcome },
        bytes: outcome.bytes?.slice(0, KEPT_BYTES),
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
    for (const method of Reflect.ownKeys(SOCKET_CALLS)) {
      const real = socket[method];
      if (typeof real !== "function") continue;
      socket[method] = (...args: Loose[]) =>
        this.perform(method, args, () => real.apply(socket, args));
    }
    const { accept, setNoDelay } = socket;
    if (accept) {
      socket.accept = async () => new ObservedSocket().observe(await accept());
    }
    if (setNoDelay) {
      socket.setNoDelay = (on = true) => {
        const option = [
          ...["IPPROTO_TCP", "TCP_NODELAY", Number(on)],
          "small messages go out at once",
        ];
        this.perform("option", option, () => setNoDelay.call(socket, on));
      };
    }
    this.#replace("readable", (real) => this.#observeReadable(real));
    this.#replace("writable", (real) => this.#observeWritable(real));
    return socket;
  }

  /** Replaces a stream of the socket when it is asked for. */
  #replace(name: string, observed: (real: Loose) => Loose): void {
    const socket = this.#socket;
    if (!(name in socket)) return;
    const prototype = Object.getPrototypeOf(socket);
    let stream: Loose;
    const get = () => stream ??= observed(Reflect.get(prototype, name, socket));
    Object.defineProperty(socket, name, { get, configurable: true });
  }

  /** Like the real stream it reads nothing before it is asked to. */
  #observeReadable(real: ReadableStream): ReadableStream {
    const reader = real.getReader({ mode: "byob" });
    return new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 65_536,
      pull: async (controller) => {
        const view = controller.byobRequest!.view as Uint8Array;
        const length = await this.perform("read", [view], async () => {
          const { value } = await reader.read(new Uint8Array(view.length));
          if (!value?.length) return null;
          view.set(value);
          return value.length;
        });
        if (length === null) {
          this.perform("close", [], () => {}); // the real stream has done it
          controller.close();
        }
        controller.byobRequest?.respond(length ?? 0);
      },
      cancel: (reason) =>
        this.perform("close", [], () => reader.cancel(reason)),
    });
  }

  #observeWritable(real: WritableStream): WritableStream {
    const writer = real.getWriter();
    return new WritableStream({
      write: (bytes) =>
        this.perform("write", [bytes], async () => {
          await writer.write(bytes);
          return bytes.length;
        }),
      close: () => this.perform("close", [], () => writer.close()),
      abort: (reason) => this.perform("close", [], () => writer.abort(reason)),
    });
  }
}

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
  observed.perform("create", [type, address], () => {});
  if (type === "STREAM" && !isUnix(address) && Deno.build.os !== "windows") {
    const option = [ // Deno sets it itself
      ...["SOL_SOCKET", "SO_REUSEADDR", 1],
      "a server may start again at once",
    ];
    observed.perform("option", option, () => {});
  }
  const args = [address];
  const socket = observed.perform("bind", args, () => {
    const bound = real(options);
    args[0] = bound.addr; // with the port that the system has chosen
    return bound;
  });
  if (type === "STREAM") {
    observed.perform("listen", [address.tcpBacklog], () => {});
  }
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

const PREVIEW_LENGTH = 16;

function preview(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes.subarray(0, PREVIEW_LENGTH))
    .replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `"${safeLine(text)}"${bytes.length > PREVIEW_LENGTH ? "…" : ""}`;
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
