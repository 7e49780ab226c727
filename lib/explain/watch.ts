// Wraps Deno's socket calls: each call of the program, from now on, is a step
// that is told to each of `stepListeners`.
import { formatAddress } from "../address.ts";
import { writeAll } from "../tcp/stream.ts";
import { safeLine } from "../text.ts";
import calls from "./calls.txt" with { type: "text" };

// Any program's values go through here: they may be anything.
// deno-lint-ignore no-explicit-any
type Loose = any;

/** A socket call that has been made: what it was, in words, in C, in Python. */
export interface SocketStep {
  time: number; // in milliseconds since the program began
  name: string;
  what: string;
  c: string;
  python: string;
  socket: number; // from 1 on
  type: "stream" | "datagrams";
  peer?: string;
  bytes?: Uint8Array; // sent or received; the next call may overwrite them
  failed: boolean;
}

export const stepListeners: ((step: SocketStep) => void)[] = [];

// By Deno's method, or a part of one: the name of the step and what it does, the
// call in C, the call in Python. `#tell` puts values in place of the braces.
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

  /** Tells that it is created, if that is a step of its own. */
  constructor(readonly type: SocketStep["type"] = "stream", address?: Loose) {
    if (address) this.perform(type, { address });
  }

  /** Makes a call and tells of it; watches a socket that the call gives. */
  perform(method: string, given: Loose, work: () => Loose = () => {}): Loose {
    const tell = (result?: Loose, error?: Loose) => {
      if (method === "accept" && result) new ObservedSocket().#observe(result);
      else if (result?.close) this.#observe(result);
      // A socket closes once, and what waits on it then has not failed.
      if (this.#open) this.#tell(method, given, result, error);
      if (method === "close") this.#open = false;
      return result;
    };
    const fail = (error: Loose) => {
      tell(undefined, error);
      throw error;
    };
    try {
      const result = work();
      return result instanceof Promise ? result.then(tell, fail) : tell(result);
    } catch (error) {
      return fail(error);
    }
  }

  #tell(method: string, given: Loose, result: Loose, error: Loose): void {
    try {
      const [data, from] = Array.isArray(result) ? result : [given.data];
      const count = from ? data.length : result ?? 0;
      const hasMoved = data?.subarray && result !== undefined;
      const isEnd = result === null;
      const bytes = hasMoved && !isEnd ? data.subarray(0, count) : undefined;
      // Each time anew: behind a proxy it becomes the client's.
      const other = from ?? given.to ?? result?.remoteAddr ??
        given.socket?.remoteAddr;
      const peer = other && addressOf(other).text;
      const local = result?.localAddr;
      const address = result?.addr ?? given.address ?? other;
      let moved = given.to ? `to ${peer}` : "";
      if (isEnd) moved = "the end: the peer says no more";
      if (bytes) {
        const start = new TextDecoder().decode(bytes.subarray(0, 16));
        const quoted = JSON.stringify(start) + (count > 16 ? "…" : "");
        const way = /read|receive/.test(method) ? "from" : "to";
        const unit = count === 1 ? "byte" : "bytes";
        moved = `${count} ${unit} ${way} ${peer}: ${quoted}`;
      }
      const words: Record<string, unknown> = {
        ...given,
        ...(address && addressOf(address)),
        peer,
        length: data?.length,
        flag: Number(data ?? true),
        state: data === false ? "off" : "on",
        from: local ? `from ${addressOf(local).text} ` : "",
        accepted: peer ? `${peer} has connected` : "",
        moved,
        closed: peer ? `the connection to ${peer}` : "the socket",
      };
      const fill = (template: string) =>
        safeLine(template.replace(/\{(\w+)\}/g, (_, name) => `${words[name]}`));
      let [name, what, c, python] = SOCKET_CALLS.get(method)!.map(fill);
      if (error) {
        what = `${what} fails: ${safeLine(String(error))}`.trim();
        c += error.code ? ` = -1 ${error.code}` : " = -1";
      } else if (hasMoved) c += ` = ${count}`;
      if (what === "") return;
      const { number: socket, type } = observedSockets.get(result) ?? this;
      const [time, failed] = [performance.now(), error !== undefined];
      const step = { time, name, what, c, python, socket, type, peer, bytes };
      for (const tell of stepListeners) tell({ ...step, failed });
    } catch {
      // A program may pass anything; Deno says what is wrong with it.
    }
  }

  /** Lets every call on the socket, from now on, tell what it does. */
  #observe(socket: Loose): void {
    if (observedSockets.has(socket)) return;
    observedSockets.set(socket, this);
    // Not enumerable, so that a printed socket looks as it does.
    const own: PropertyDescriptorMap = socket.read ? streamsOf(socket) : {};
    for (const method of [...SOCKET_CALLS.keys(), Symbol.dispose]) {
      const real = socket[method];
      if (typeof real !== "function") continue;
      const name = typeof method === "string" ? method : "close";
      const value = (...args: Loose[]) => {
        const [data, to] = args;
        const given = { socket, data, to };
        return this.perform(name, given, () => real.apply(socket, args));
      };
      own[method] = { value, writable: true, configurable: true };
    }
    Object.defineProperties(socket, own);
  }
}

// Like Deno's streams, they read only when asked, and close the socket at the
// end and when they fail.
function streamsOf(socket: Loose) {
  const close = () => socket[Symbol.dispose]();
  const fail = (error: unknown) => {
    close();
    throw error;
  };
  const write = (bytes: Uint8Array) => writeAll(socket, bytes).catch(fail);
  const writable = new WritableStream({ write, close, abort: close });
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
  return { readable: { value: readable }, writable: { value: writable } };
}

/** Called in place of Deno's functions; each gets the real one first. */
const STAND_INS: Record<string, (real: Loose, ...given: Loose[]) => Loose> = {
  connect(real, options) {
    const to = { hostname: "127.0.0.1", ...options };
    const observed = new ObservedSocket("stream", to);
    return observed.perform("connect", { to }, () => real(options));
  },

  async connectTls(real, options) {
    const conn = await STAND_INS.connect(real, options);
    return STAND_INS.startTls(() => conn, conn, options);
  },

  /** The connection stays the same socket when it speaks TLS. */
  startTls(real, conn, options) {
    const observed = observedSockets.get(conn) ?? new ObservedSocket();
    const given = { hostname: "127.0.0.1", ...options, socket: conn };
    return observed.perform("startTls", given, () => real(conn, options));
  },

  listen(real, options) {
    const address = { hostname: "0.0.0.0", ...options };
    const { transport, path, reuseAddress, tcpBacklog: most = 511 } = address;
    const isStream = !/^(udp|unixpacket)$/.test(transport);
    const type = isStream ? "stream" : "datagrams";
    const observed = new ObservedSocket(type, address);
    // Deno sets it for a stream itself, for datagrams where it is told to.
    const reuses = Deno.build.os !== "windows" &&
      (isStream ? !path : reuseAddress);
    if (reuses) observed.perform("reuseAddress", {});
    const socket = observed.perform("bind", { address }, () => real(options));
    if (isStream) observed.perform("listen", { most });
    return socket;
  },
};
STAND_INS.listenTls = STAND_INS.listenDatagram = STAND_INS.listen;
for (const [name, standIn] of Object.entries(STAND_INS)) {
  const real = Deno[name as "connect"];
  // Only with `--unstable-net` are there datagrams.
  if (real) Object.assign(Deno, { [name]: standIn.bind(undefined, real) });
}

/** Writes an address as a person does, and as Python does. */
function addressOf({ transport, path, hostname, port }: Loose) {
  if (/^unix/.test(transport)) {
    // The client of a unix socket has no path.
    const text = path ? `unix:${safeLine(path)}` : "a local peer";
    return { text, python: JSON.stringify(path ?? ""), family: "AF_UNIX" };
  }
  const text = safeLine(formatAddress({ transport: "tcp", hostname, port }));
  const family = hostname.includes(":") ? "AF_INET6" : "AF_INET";
  return { text, python: `("${hostname}", ${port})`, family };
}
