// Wraps Deno's socket calls: each call of the program, from now on, is a step
// that is told to whoever has asked for it by `onStep`.
import { formatAddress } from "../address.ts";
import { writeAll } from "../tcp/stream.ts";
import { safeLine } from "../text.ts";
import calls from "./calls.txt" with { type: "text" };

// What goes through here is any program's, and may be anything.
// deno-lint-ignore no-explicit-any
type Loose = any;

/**
 * A socket call that has been made, at a time in milliseconds since the program
 * began: what it was, in words, in C and in Python. Sockets are numbered from 1.
 */
export interface SocketStep {
  time: number;
  name: string;
  what: string;
  c: string;
  python: string;
  socket: number;
  type: "stream" | "datagrams";
  peer?: string;
  /** What was sent or received; the next call may overwrite it. */
  bytes?: Uint8Array;
  failed: boolean;
}

const listeners: ((step: SocketStep) => void)[] = [];

/** Tells each step from now on. */
export function onStep(listener: (step: SocketStep) => void): void {
  listeners.push(listener);
}

/**
 * By Deno's method, or a part of one: the name of the step and what it does, the
 * call in C, the call in Python. `#tell` puts values in place of the braces.
 */
const SOCKET_CALLS = new Map(
  calls.matchAll(/^(\w+) = ([\w-]+): ?(.*)\n +(.*)\n +(.*)$/gm)
    .map(([, method, ...words]) => [method, words]),
);

const observedSockets = new WeakMap<object, ObservedSocket>();
let made = 0;

/** A socket whose calls are told. */
class ObservedSocket {
  readonly number = ++made;
  #open = true;
  #socket: Loose;

  constructor(readonly type: SocketStep["type"]) {}

  /** Makes a call and tells of it; what comes of it is left as it is. */
  perform(method: string, given: Loose, work: () => Loose): Loose {
    const closes = method === "close" && this.#open;
    if (closes) this.#open = false;
    const tell = (result?: Loose, error?: Loose) => {
      // A socket closes once, and what waits on it then has not failed.
      if (closes || this.#open) this.#tell(method, given, result, error);
      return result;
    };
    const fail = (error: Loose) => {
      tell(undefined, error);
      throw error;
    };
    try {
      const result = work();
      if (result instanceof Promise) return result.then(tell, fail);
      return tell(result);
    } catch (error) {
      return fail(error);
    }
  }

  #tell(method: string, given: Loose, result: Loose, error: Loose): void {
    try {
      const [data, from] = Array.isArray(result) ? result : [given.data];
      const count = Array.isArray(result) ? data.length : result ?? 0;
      const moved = data?.subarray && result !== undefined;
      const isEnd = result === null;
      const bytes = moved && !isEnd ? data.subarray(0, count) : undefined;
      // Each time anew: behind a proxy it becomes the client's.
      const accepted = method === "accept" ? result?.remoteAddr : undefined;
      const other = from ?? accepted ?? given.to ?? this.#socket?.remoteAddr;
      const peer = other && addressOf(other).text;
      const local = result?.localAddr;
      const address = result?.addr ?? given.address ?? other;
      const words: Record<string, unknown> = {
        ...given,
        ...(address && addressOf(address)),
        peer,
        length: data?.length,
        flag: Number(data ?? true),
        state: data === false ? "off" : "on",
        from: local ? `from ${addressOf(local).text} ` : "",
        accepted: accepted ? `${peer} has connected` : "",
        moved: given.to ? `to ${peer}` : "",
        closed: peer ? `the connection to ${peer}` : "the socket",
      };
      if (bytes) {
        const way = /read|receive/.test(method) ? "from" : "to";
        const unit = count === 1 ? "byte" : "bytes";
        words.moved = `${count} ${unit} ${way} ${peer}: ${quote(bytes)}`;
      }
      if (isEnd) words.moved = "the end: the peer says no more";
      const fill = (template: string) =>
        template.replace(/\{(\w+)\}/g, (_, name) => `${words[name]}`);
      let [name, what, c, python] = SOCKET_CALLS.get(method)!.map(fill);
      if (error) {
        what = `${what} fails: ${safeLine(String(error))}`.trim();
        c += ` = ${`-1 ${error.code ?? ""}`.trim()}`;
      } else if (moved) c += ` = ${count}`;
      if (what === "") return;
      const { number: socket, type } = observedSockets.get(result) ?? this;
      const [time, failed] = [performance.now(), error !== undefined];
      const step = { time, name, what, c, python, socket, type, peer, bytes };
      for (const tell of listeners) tell({ ...step, failed });
    } catch {
      // A program may call with anything; Deno says what is wrong with that.
    }
  }

  /** Lets every call on the socket, from now on, tell what it does. */
  observe(socket: Loose): Loose {
    if (observedSockets.has(socket)) return socket;
    this.#socket = socket;
    observedSockets.set(socket, this);
    // Not enumerable, so that a printed socket looks as it does.
    const flags = { configurable: true, writable: true };
    const replace = (name: PropertyKey, value: unknown) =>
      Object.defineProperty(socket, name, { value, ...flags });
    const { accept } = socket;
    if (accept) {
      replace("accept", async () => {
        return new ObservedSocket("stream").observe(await accept.call(socket));
      });
    }
    for (const method of [...SOCKET_CALLS.keys(), Symbol.dispose]) {
      const real = socket[method];
      if (typeof real !== "function") continue;
      const name = typeof method === "string" ? method : "close";
      replace(method, (...args: Loose[]) => {
        const [data, to] = args;
        return this.perform(name, { data, to }, () => real.apply(socket, args));
      });
    }
    if (socket.read) {
      const { readable, writable } = streamsOf(socket);
      replace("readable", readable);
      replace("writable", writable);
    }
    return socket;
  }
}

/** The first bytes as text, safe on a terminal, in quotes. */
function quote(bytes: Uint8Array): string {
  const start = new TextDecoder().decode(bytes.subarray(0, 16))
    .replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `"${safeLine(start)}"${bytes.length > 16 ? "…" : ""}`;
}

/**
 * As Deno's streams they read nothing before they are asked to, and close the
 * socket at the end and when they fail.
 */
function streamsOf(socket: Loose) {
  const close = () => socket[Symbol.dispose]();
  const fail = (error: unknown) => {
    close();
    throw error;
  };
  const readable = new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: 65_536,
    async pull(controller) {
      const request = controller.byobRequest!;
      const length = await socket.read(request.view).catch(fail);
      if (length === null) {
        close();
        controller.close();
      }
      request.respond(length ?? 0);
    },
    cancel: close,
  });
  const write = (bytes: Uint8Array) => writeAll(socket, bytes).catch(fail);
  return {
    readable,
    writable: new WritableStream({ write, close, abort: close }),
  };
}

{ // The names stand for the real calls, in this block only.
  const { connect, connectTls, startTls, listen, listenTls, listenDatagram } =
    Deno;
  Object.assign(Deno, {
    connect: (options: Loose) => connectObserved(connect, options),
    async connectTls(options: Loose) {
      const conn = await connectObserved(connectTls, options);
      return await tellTls(conn, options, () => conn);
    },
    async startTls(conn: Loose, options: Loose) {
      return await tellTls(conn, options, () => startTls(conn, options));
    },
    listen: (options: Loose) => listenObserved(listen, "stream", options),
    listenTls: (options: Loose) => listenObserved(listenTls, "stream", options),
  });
  // Only with `--unstable-net` is it there.
  if (listenDatagram) {
    Deno.listenDatagram = (options: Loose) =>
      listenObserved(listenDatagram, "datagrams", options);
  }
}

async function connectObserved(real: Loose, options: Loose): Promise<Loose> {
  const observed = new ObservedSocket("stream");
  const to = { hostname: "127.0.0.1", ...options };
  observed.perform("stream", { address: to }, () => {});
  const conn = await observed.perform("connect", { to }, () => real(options));
  return observed.observe(conn);
}

/** The connection stays the same socket when it speaks TLS. */
async function tellTls(conn: Loose, options: Loose, work: () => Loose) {
  const observed = observedSockets.get(conn) ?? new ObservedSocket("stream");
  const given = { hostname: "127.0.0.1", ...options };
  return observed.observe(await observed.perform("startTls", given, work));
}

function listenObserved(real: Loose, type: SocketStep["type"], options: Loose) {
  const observed = new ObservedSocket(type);
  const address = { hostname: "0.0.0.0", ...options };
  const isStream = type === "stream";
  observed.perform(type, { address }, () => {});
  // Deno sets it for a stream itself, for datagrams where it is told to.
  const reuses = isStream ? !address.path : address.reuseAddress;
  if (reuses && Deno.build.os !== "windows") {
    observed.perform("reuseAddress", {}, () => {});
  }
  const socket = observed.perform("bind", { address }, () => real(options));
  const most = address.tcpBacklog ?? 511;
  if (isStream) observed.perform("listen", { most }, () => {});
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
