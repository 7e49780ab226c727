/**
 * Tells each step in the life of a socket while it happens, for someone who
 * learns: what it is, with which address, how much, when, and the call that it
 * stands for in C and in Python. Like strace, but for Deno's sockets.
 *
 * It stands between a script and Deno: while it is off, it is not there.
 *
 * @module
 */
import { reasonFor } from "./failure.ts";
import {
  addressOf,
  diagramOf,
  preview,
  type Step,
  textOf,
} from "./narration.ts";

/** As it happens, or as a diagram in the end. */
export type ExplainFormat = "text" | "mermaid";

/**
 * Starts telling what every socket does from now on.
 *
 * @param self What this side is called in the diagram.
 * @param format As text, each step at once, or as a diagram in the end.
 * @param write Where it goes.
 * @returns Stops it, and writes the diagram if that is the format.
 *
 * @example
 * ```ts
 * let told = "";
 * {
 *   using _explaining = explain("example", "text", (text) => told += text);
 *   Deno.listen({ hostname: "127.0.0.1", port: 0 }).close();
 * }
 * for (const step of ["create", "bind", "listen", "close"]) {
 *   if (!told.includes(step)) throw new Error(told);
 * }
 * ```
 */
export function explain(
  self: string,
  format: ExplainFormat,
  write: (text: string) => void,
): Disposable {
  const steps: Step[] = [];
  const tell = (step: Step) => {
    if (format === "mermaid") steps.push(step);
    else write(textOf(step));
  };
  const { connect, listen, listenTls, startTls, listenDatagram } = Deno;
  const real = { connect, listen, listenTls, startTls, listenDatagram };
  Object.assign(Deno, explained(real, tell));
  return {
    [Symbol.dispose]() {
      Object.assign(Deno, real);
      if (format === "mermaid") write(diagramOf(self, steps));
    },
  };
}

type Calls = Pick<
  typeof Deno,
  "connect" | "listen" | "listenTls" | "startTls" | "listenDatagram"
>;
type Tell = (step: Step) => void;
// deno-lint-ignore no-explicit-any
type Options = any;

/** Deno's calls, each telling what it does. */
function explained(
  real: Calls,
  tell: Tell,
): Partial<Record<keyof Calls, unknown>> {
  const listening = (listener: Deno.Listener, options: Options) => {
    const { tcpBacklog = 511 } = options;
    bind(tell, listener.addr, "STREAM");
    tell({
      name: "listen",
      what: `${tcpBacklog} may wait`,
      c: `listen(fd, ${tcpBacklog})`,
      python: `s.listen(${tcpBacklog})`,
    });
    return watchListener(listener, tell);
  };
  return {
    listen: (options: Options) => listening(real.listen(options), options),
    listenTls: (options: Options) =>
      listening(real.listenTls(options), options),
    async connect(options: Options) {
      const { transport = "tcp", hostname = "127.0.0.1", port, path } = options;
      const to = addressOf({ transport, hostname, port, path });
      create(tell, { transport, hostname } as Deno.Addr, "STREAM");
      const call = {
        name: "connect",
        c: `connect(fd, ${to.text})`,
        python: `s.connect(${to.python})`,
      };
      try {
        const conn = await real.connect(options) as Deno.Conn;
        const from = addressOf(conn.localAddr).text;
        const what = `from ${from} to ${to.text}`;
        tell({ ...call, what, peer: to.text });
        return watchConn(conn, tell);
      } catch (error) {
        const what = `to ${to.text} fails: ${reasonFor(error)}`;
        tell({ ...call, what });
        throw error;
      }
    },
    async startTls(conn: Deno.TcpConn, options: Deno.StartTlsOptions) {
      const peer = addressOf(conn.remoteAddr).text;
      const { hostname } = options ?? {};
      const tls = await real.startTls(conn, options);
      tell({
        name: "tls",
        what: `with ${hostname}`,
        c: "SSL_connect(ssl)",
        python: `context.wrap_socket(s, server_hostname="${hostname}")`,
        peer,
      });
      return watchConn(tls, tell);
    },
    // Without --unstable-net it is not there, and must not seem to be.
    listenDatagram: real.listenDatagram && ((options: Options) => {
      const conn = real.listenDatagram(options);
      bind(tell, conn.addr, "DGRAM");
      return watchDatagrams(conn, tell);
    }),
  };
}

type SocketType = "STREAM" | "DGRAM";

function bind(tell: Tell, address: Deno.Addr, type: SocketType): void {
  create(tell, address, type);
  const { text, python } = addressOf(address);
  const call = { c: `bind(fd, ${text})`, python: `s.bind(${python})` };
  tell({ name: "bind", what: text, ...call });
}

function create(tell: Tell, address: Deno.Addr, type: SocketType): void {
  const family = !("hostname" in address)
    ? "AF_UNIX"
    : address.hostname.includes(":")
    ? "AF_INET6"
    : "AF_INET";
  const kind = type === "STREAM" ? "a stream" : "datagrams";
  const args = `${family}, SOCK_${type}`;
  tell({
    name: "create",
    what: `a socket for ${kind}`,
    c: `fd = socket(${args}, 0)`,
    python: `s = socket.socket(${args})`,
  });
}

function watchListener(listener: Deno.Listener, tell: Tell): Deno.Listener {
  const { accept } = listener;
  listener.accept = async () => {
    const conn = await accept.call(listener);
    const peer = addressOf(conn.remoteAddr).text;
    tell({
      name: "accept",
      what: `${peer} has connected`,
      c: "conn = accept(fd, …)",
      python: "conn, address = s.accept()",
      peer,
      incoming: true,
    });
    return watchConn(conn, tell);
  };
  watchClose(listener, tell);
  return listener;
}

function watchConn<Conn extends Deno.Conn>(conn: Conn, tell: Tell): Conn {
  // Each time anew: behind a proxy it becomes the client's.
  const peer = () => addressOf(conn.remoteAddr).text;
  const { read, write, closeWrite } = conn;
  conn.read = async (buffer) => {
    const length = await read.call(conn, buffer);
    const got = length === null
      ? "the end: the peer says no more"
      : `${length} bytes from ${peer()}: ${preview(buffer, length)}`;
    tell({
      name: "receive",
      what: got,
      c: `recv(fd, buffer, ${buffer.length}, 0) = ${length ?? 0}`,
      python: `data = s.recv(${buffer.length})`,
      peer: peer(),
      incoming: true,
    });
    return length;
  };
  conn.write = async (bytes) => {
    const length = await write.call(conn, bytes);
    tell({
      name: "send",
      what: `${length} bytes to ${peer()}: ${preview(bytes, length)}`,
      c: `send(fd, buffer, ${bytes.length}, 0) = ${length}`,
      python: `s.send(data)`,
      peer: peer(),
    });
    return length;
  };
  conn.closeWrite = async () => {
    await closeWrite.call(conn);
    tell({
      name: "half-close",
      what: `nothing more to ${peer()}`,
      c: "shutdown(fd, SHUT_WR)",
      python: "s.shutdown(socket.SHUT_WR)",
      peer: peer(),
    });
  };
  watchClose(conn, tell, peer);
  return conn;
}

function watchDatagrams(
  conn: Deno.DatagramConn,
  tell: Tell,
): Deno.DatagramConn {
  const { send, receive } = conn;
  conn.send = async (bytes, to) => {
    const length = await send.call(conn, bytes, to);
    const { text, python } = addressOf(to);
    tell({
      name: "send",
      what: `${length} bytes to ${text}: ${preview(bytes, length)}`,
      c: `sendto(fd, buffer, ${length}, 0, ${text})`,
      python: `s.sendto(data, ${python})`,
      peer: text,
    });
    return length;
  };
  conn.receive = async (buffer) => {
    const [bytes, from] = await receive.call(conn, buffer);
    const { text } = addressOf(from);
    const { length } = bytes;
    tell({
      name: "receive",
      what: `${length} bytes from ${text}: ${preview(bytes, length)}`,
      c: `recvfrom(fd, buffer, …) = ${length}`,
      python: "data, address = s.recvfrom(65535)",
      peer: text,
      incoming: true,
    });
    return [bytes, from];
  };
  watchClose(conn, tell);
  return conn;
}

/** A socket is closed once, however often it is told to. */
function watchClose(
  socket: { close(): void },
  tell: Tell,
  peer?: () => string,
): void {
  let open = true;
  const closing = () => {
    if (!open) return;
    open = false;
    const to = peer?.();
    const what = to === undefined ? "the socket" : `the connection to ${to}`;
    const closed = { name: "close", what, c: "close(fd)", python: "s.close()" };
    tell({ ...closed, peer: to });
  };
  const target = socket as { close(): void; [Symbol.dispose]?(): void };
  const { close } = target;
  const dispose = target[Symbol.dispose];
  target.close = () => {
    close.call(target);
    closing();
  };
  if (dispose === undefined) return;
  target[Symbol.dispose] = () => {
    dispose.call(target);
    closing();
  };
}
