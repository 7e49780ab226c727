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
  step,
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
    const at = addressOf(listener.addr);
    create(tell, listener.addr, "STREAM");
    tell(step("bind", at.text, `bind(fd, ${at.text})`, `s.bind(${at.python})`));
    const queue = `listen(fd, ${tcpBacklog})`;
    tell(
      step(
        "listen",
        `${tcpBacklog} may wait`,
        queue,
        `s.${queue.replace("fd, ", "")}`,
      ),
    );
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
      const call = [
        "connect",
        `connect(fd, ${to.text})`,
        `s.connect(${to.python})`,
      ];
      try {
        const conn = await real.connect(options) as Deno.Conn;
        const from = addressOf(conn.localAddr).text;
        tell({
          ...step(call[0], `from ${from} to ${to.text}`, call[1], call[2]),
          peer: to.text,
        });
        return watchConn(conn, tell);
      } catch (error) {
        tell(
          step(
            call[0],
            `to ${to.text} fails: ${reasonFor(error)}`,
            call[1],
            call[2],
          ),
        );
        throw error;
      }
    },
    async startTls(conn: Deno.TcpConn, options: Deno.StartTlsOptions) {
      const peer = addressOf(conn.remoteAddr).text;
      const { hostname } = options ?? {};
      const tls = await real.startTls(conn, options);
      tell({
        ...step(
          "tls",
          `with ${hostname}`,
          "SSL_connect(ssl)",
          `context.wrap_socket(s, server_hostname="${hostname}")`,
        ),
        peer,
      });
      return watchConn(tls, tell);
    },
    // Without --unstable-net it is not there, and must not seem to be.
    listenDatagram: real.listenDatagram && ((options: Options) => {
      const conn = real.listenDatagram(options);
      const at = addressOf(conn.addr);
      create(tell, conn.addr, "DGRAM");
      tell(
        step("bind", at.text, `bind(fd, ${at.text})`, `s.bind(${at.python})`),
      );
      return watchDatagrams(conn, tell);
    }),
  };
}

function create(
  tell: Tell,
  address: Deno.Addr,
  type: "STREAM" | "DGRAM",
): void {
  const family = !("hostname" in address)
    ? "AF_UNIX"
    : address.hostname.includes(":")
    ? "AF_INET6"
    : "AF_INET";
  const kind = type === "STREAM" ? "a stream" : "datagrams";
  const args = `${family}, SOCK_${type}`;
  tell(
    step(
      "create",
      `a socket for ${kind}`,
      `fd = socket(${args}, 0)`,
      `s = socket.socket(${args})`,
    ),
  );
}

function watchListener(listener: Deno.Listener, tell: Tell): Deno.Listener {
  const { accept } = listener;
  listener.accept = async () => {
    const conn = await accept.call(listener);
    const peer = addressOf(conn.remoteAddr).text;
    tell({
      ...step(
        "accept",
        `${peer} has connected`,
        "conn = accept(fd, …)",
        "conn, address = s.accept()",
      ),
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
    const call = `recv(fd, buffer, ${buffer.length}, 0) = ${length ?? 0}`;
    tell({
      ...step("receive", got, call, `data = s.recv(${buffer.length})`),
      peer: peer(),
      incoming: true,
    });
    return length;
  };
  conn.write = async (bytes) => {
    const length = await write.call(conn, bytes);
    const data = preview(bytes, length);
    tell({
      ...step(
        "send",
        `${length} bytes to ${peer()}: ${data}`,
        `send(fd, buffer, ${bytes.length}, 0) = ${length}`,
        `s.send(data)`,
      ),
      peer: peer(),
    });
    return length;
  };
  conn.closeWrite = async () => {
    await closeWrite.call(conn);
    tell({
      ...step(
        "half-close",
        `nothing more to ${peer()}`,
        "shutdown(fd, SHUT_WR)",
        "s.shutdown(socket.SHUT_WR)",
      ),
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
      ...step(
        "send",
        `${length} bytes to ${text}: ${preview(bytes, length)}`,
        `sendto(fd, buffer, ${length}, 0, ${text})`,
        `s.sendto(data, ${python})`,
      ),
      peer: text,
    });
    return length;
  };
  conn.receive = async (buffer) => {
    const [bytes, from] = await receive.call(conn, buffer);
    const { text } = addressOf(from);
    const { length } = bytes;
    tell({
      ...step(
        "receive",
        `${length} bytes from ${text}: ${preview(bytes, length)}`,
        `recvfrom(fd, buffer, …) = ${length}`,
        "data, address = s.recvfrom(65535)",
      ),
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
    const closed = step("close", what, "close(fd)", "s.close()");
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
