/**
 * Deno's own sockets, as the tests of the scripts use them: reading and writing
 * all there is, a small server, a UDP socket. Nothing of the library is in
 * here: the tests of the scripts must not be made of what they test.
 *
 * @module
 */
import { bytes, concatenate, text } from "./bytes.ts";
import { DEADLINE, within } from "./helpers.ts";

/** What can be read: a connection. */
export interface Readable {
  read(buffer: Uint8Array): Promise<number | null>;
}

/** What can be written to: a connection. */
export interface Writable {
  write(data: Uint8Array): Promise<number>;
}

/** Writes all of it. */
export async function writeAll(
  to: Writable,
  data: Uint8Array | string,
): Promise<void> {
  let rest = typeof data === "string" ? bytes(data) : data;
  while (rest.length > 0) rest = rest.subarray(await to.write(rest));
}

/** What comes, piece by piece, to the end. */
export async function* pieces(
  from: Readable,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  const buffer = new Uint8Array(65_536);
  for (;;) {
    const length = await from.read(buffer);
    if (length === null) return;
    yield buffer.slice(0, length);
  }
}

/** Reads to the end. */
export async function readToEnd(
  from: Readable,
): Promise<Uint8Array<ArrayBuffer>> {
  return concatenate(await Array.fromAsync(pieces(from)));
}

/** Reads so many bytes, but waits no longer for any of them than a deadline. */
export async function readExactly(
  from: Readable,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(length);
  for (let have = 0; have < length;) {
    const more = await within(from.read(whole.subarray(have)));
    if (more === null) throw new Error(`The end, after ${have} of ${length}`);
    have += more;
  }
  return whole;
}

/** Reads until a text has come; gives all that came. */
export async function readUntil(
  from: Readable,
  expected: string,
): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let all = "";
  while (!all.includes(expected)) {
    const length = await within(
      from.read(buffer),
      () => `wanted ${JSON.stringify(expected)}, got ${JSON.stringify(all)}`,
    );
    if (length === null) throw new Error(`The end, after ${all}`);
    all += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  return all;
}

/** The lines that come, without their LF; a last one may lack it. */
export async function* lines(
  from: Readable,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  let rest = new Uint8Array(0);
  for await (const piece of pieces(from)) {
    const data = rest.length === 0 ? piece : concatenate([rest, piece]);
    let start = 0;
    for (;;) {
      const end = data.indexOf(10, start);
      if (end === -1) break;
      yield data.slice(start, end);
      start = end + 1;
    }
    rest = data.slice(start);
  }
  if (rest.length > 0) yield rest;
}

/** Sends a question, half-closes, and gives all that comes back. */
export async function ask(
  port: number,
  question: string | Uint8Array = "",
): Promise<Uint8Array<ArrayBuffer>> {
  using conn = await within(Deno.connect({ port }));
  // At the same time, or both would wait for each other once much is sent.
  const answer = within(readToEnd(conn));
  answer.catch(() => {});
  await within(writeAll(conn, question));
  await conn.closeWrite();
  return await answer;
}

/** The same for text. */
export async function askText(port: number, question = ""): Promise<string> {
  return text(await ask(port, question));
}

/** Connects to a port of 127.0.0.1 once someone listens there. */
export async function connectWhenReady(port: number): Promise<Deno.TcpConn> {
  const end = performance.now() + DEADLINE;
  for (;;) {
    try {
      return await Deno.connect({ port });
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** What a server of a test does with a client; then it closes. */
export type Handler = (conn: Deno.Conn) => Promise<void>;

/** A server in the process of the test. */
export interface Serving extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
}

/** Listens for TCP on 127.0.0.1. */
export function listenHere(port = 0): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port });
}

/**
 * Serves clients until it is disposed, and then closes whatever is open. What
 * a handler throws ends its connection, and nothing else: the client under test
 * shows what came of it.
 */
export function serving(
  handler: Handler,
  listener: Deno.Listener = listenHere(),
): Serving {
  const open = new Set<Deno.Conn>();
  const handling: Promise<void>[] = [];
  const serve = async (conn: Deno.Conn) => {
    open.add(conn);
    try {
      await handler(conn);
    } catch {
      // The connection is closed, and that is all.
    } finally {
      open.delete(conn);
      conn[Symbol.dispose]();
    }
  };
  const accepting = (async () => {
    for await (const conn of listener) handling.push(serve(conn));
  })();
  const { port } = listener.addr as Deno.NetAddr;
  return {
    port,
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      listener[Symbol.dispose]();
      await within(accepting);
      for (const conn of open) conn[Symbol.dispose]();
      await within(Promise.all(handling));
    },
  };
}

/** Sends back what comes, as it comes. */
export async function echo(conn: Deno.Conn): Promise<void> {
  for await (const piece of pieces(conn)) await writeAll(conn, piece);
}

/** A datagram, and who sent it. */
export interface Datagram {
  payload: Uint8Array<ArrayBuffer>;
  peer: Deno.NetAddr;
}

/** A UDP socket on 127.0.0.1, unless it is to be elsewhere. */
export class Udp implements Disposable {
  #socket: Deno.DatagramConn;

  constructor(hostname = "127.0.0.1", port = 0) {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port });
  }

  get address(): Deno.NetAddr {
    return this.#socket.addr as Deno.NetAddr;
  }

  get port(): number {
    return this.address.port;
  }

  /** Sends to an address, or to a port of 127.0.0.1. */
  async send(
    message: string | Uint8Array,
    to: number | { hostname: string; port: number },
  ): Promise<void> {
    const payload = typeof message === "string" ? bytes(message) : message;
    const { hostname, port } = typeof to === "number"
      ? { hostname: "127.0.0.1", port: to }
      : to;
    await this.#socket.send(payload, { transport: "udp", hostname, port });
  }

  /** Waits for the next datagram; that has no deadline. */
  async receive(): Promise<Datagram> {
    // Deno's own buffer has 1024 bytes.
    const [payload, peer] = await this.#socket.receive(new Uint8Array(65_536));
    return { payload: payload.slice(), peer: peer as Deno.NetAddr };
  }

  /** Waits for so many datagrams. */
  next(count: number): Promise<Datagram[]> {
    const collect = async () => {
      const heard: Datagram[] = [];
      while (heard.length < count) heard.push(await this.receive());
      return heard;
    };
    return within(collect(), () => `${count} datagrams wanted`);
  }

  /** The same as text. */
  async texts(count: number): Promise<string[]> {
    return (await this.next(count)).map(({ payload }) => text(payload));
  }

  [Symbol.dispose](): void {
    try {
      this.#socket.close();
    } catch {
      // It is closed already.
    }
  }
}

/** A UDP port of 127.0.0.1 that is free. */
export function freeUdpPort(): number {
  using socket = new Udp();
  return socket.port;
}
