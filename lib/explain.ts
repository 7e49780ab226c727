/**
 * Importing this module wraps Deno's socket calls: each is told on standard
 * error, with the calls in C and Python that it stands for. It works with any
 * program, from its first socket on:
 *
 *     deno run --allow-net --preload lib/explain.ts ANY.ts
 *
 * @module
 */
import { formatAddress } from "./address.ts";
import { writeAll } from "./tcp/stream.ts";
import { safeLine } from "./text.ts";

// What goes through here is any program's, and may be anything.
// deno-lint-ignore no-explicit-any
type Loose = any;

/**
 * Deno's calls, and parts of them: the name of the step, and what it does; the
 * call in C; the call in Python. `#tell` puts values in place of the braces.
 */
const SOCKET_CALLS = new Map(
  `
stream create: a socket for a stream
fd = socket({family}, SOCK_STREAM, 0)
s = socket.socket({family}, SOCK_STREAM)
datagrams create: a socket for datagrams
fd = socket({family}, SOCK_DGRAM, 0)
s = socket.socket({family}, SOCK_DGRAM)
reuseAddress option: SO_REUSEADDR on: a server may start again at once
setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
setNoDelay option: TCP_NODELAY {state}: small messages go out at once
setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, {flag})
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, {flag})
bind bind: {text}
bind(fd, {text})
s.bind({python})
listen listen: up to {most} wait to be accepted
listen(fd, {most})
s.listen({most})
accept accept: {accepted}
conn = accept(fd, …)
conn, address = s.accept()
connect connect: {from}to {text}
connect(fd, {text})
s.connect({python})
startTls tls: with {hostname}
SSL_connect(ssl)
context.wrap_socket(s, server_hostname="{hostname}")
handshake tls:
SSL_do_handshake(ssl)
s.do_handshake()
read receive: {moved}
recv(fd, buffer, {length}, 0)
data = s.recv({length})
write send: {moved}
send(fd, buffer, {length}, 0)
s.send(data)
receive receive: {moved}
recvfrom(fd, buffer, …)
data, address = s.recvfrom(65535)
send send: {moved}
sendto(fd, buffer, {length}, 0, {text})
s.sendto(data, {python})
closeWrite half-close: nothing more to {peer}
shutdown(fd, SHUT_WR)
s.shutdown(socket.SHUT_WR)
close close: {closed}
close(fd)
s.close()
`.matchAll(/^(\w+) ([\w-]+): ?(.*)\n(.*)\n(.*)$/gm)
    .map(([, method, ...words]) => [method, words]),
);

const observedSockets = new WeakMap<object, ObservedSocket>();

/** A socket whose calls are told. */
class ObservedSocket {
  #open = true;
  #socket: Loose;

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
      const bytes = moved ? data.subarray(0, Math.min(count, 16)) : undefined;
      const start = new TextDecoder().decode(bytes)
        .replaceAll("\n", "\\n").replaceAll("\r", "\\r");
      const text = `"${safeLine(start)}"${count > 16 ? "…" : ""}`;
      const way = /read|receive/.test(method) ? "from" : "to";
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
      if (moved) words.moved = `${count} bytes ${way} ${peer}: ${text}`;
      if (result === null) words.moved = "the end: the peer says no more";
      const fill = (template: string) =>
        template.replace(/\{(\w+)\}/g, (_, name) => `${words[name]}`);
      let [name, what, c, python] = SOCKET_CALLS.get(method)!.map(fill);
      if (error) {
        what = `${what} fails: ${safeLine(String(error))}`.trim();
        c += ` = ${`-1 ${error.code ?? ""}`.trim()}`;
      } else if (moved) c += ` = ${count}`;
      if (what !== "") printStep(name, what, c, python);
    } catch {
      // A program may call with anything; Deno says what is wrong with that.
    }
  }

  /** Lets every call on the socket, from now on, tell what it does. */
  observe(socket: Loose): Loose {
    this.#socket = socket;
    observedSockets.set(socket, this);
    for (const method of [...SOCKET_CALLS.keys(), Symbol.dispose]) {
      const real = socket[method];
      if (typeof real !== "function") continue;
      const name = typeof method === "string" ? method : "close";
      socket[method] = (...args: Loose[]) => {
        const [data, to] = args;
        return this.perform(name, { data, to }, () => real.apply(socket, args));
      };
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

{ // The names stand for the real calls, in this block only.
  const { connect, connectTls, startTls, listen, listenTls, listenDatagram } =
    Deno;
  Object.assign(Deno, {
    connect: (options: Loose) => connectObserved(connect, options),
    async connectTls(options: Loose) {
      const conn = await connectObserved(connectTls, options);
      observedSockets.get(conn)!.perform("startTls", options, () => conn);
      return conn;
    },
    async startTls(conn: Loose, options: Loose) {
      const observed = observedSockets.get(conn) ?? new ObservedSocket();
      const work = () => startTls(conn, options);
      const tls = await observed.perform("startTls", options, work);
      return observed.observe(tls);
    },
    listen: (options: Loose) => listenObserved(listen, "stream", options),
    listenTls: (options: Loose) => listenObserved(listenTls, "stream", options),
    listenDatagram: (options: Loose) =>
      listenObserved(listenDatagram, "datagrams", options),
  });
}

async function connectObserved(real: Loose, options: Loose): Promise<Loose> {
  const observed = new ObservedSocket();
  const to = { hostname: "127.0.0.1", ...options };
  observed.perform("stream", { address: to }, () => {});
  const conn = await observed.perform("connect", { to }, () => real(options));
  return observed.observe(conn);
}

function listenObserved(real: Loose, type: string, options: Loose): Loose {
  const observed = new ObservedSocket();
  const address = { hostname: "0.0.0.0", ...options };
  const isStream = type === "stream";
  observed.perform(type, { address }, () => {});
  if (isStream && !address.path && Deno.build.os !== "windows") {
    observed.perform("reuseAddress", {}, () => {}); // Deno does it itself
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

/** Writes a step to standard error at once, in lines that fit a terminal. */
function printStep(name: string, what: string, c: string, python: string) {
  // An option takes no time: it belongs to the step before.
  const elapsed = name === "option" ? "" : `${performance.now().toFixed(1)} ms`;
  const first = `${elapsed.padStart(11)}  ${name.padEnd(10)} ${what}`;
  const indent = " ".repeat(13);
  try {
    const isTerminal = Deno.stderr.isTerminal();
    const width = isTerminal && Deno.consoleSize().columns || Infinity;
    const calls = `${indent}C: ${c}   Python: ${python}`;
    const inTurn = [`${indent}C: ${c}`, `${indent}Python: ${python}`];
    const text = [first, ...calls.length > width ? inTurn : [calls]]
      .map((line) =>
        line.length > width ? `${line.slice(0, width - 1)}…` : line
      )
      .join("\n");
    let bytes = new TextEncoder().encode(`${text}\n`);
    while (bytes.length > 0) {
      bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
    }
  } catch {
    // Nobody is left to read it.
  }
}
