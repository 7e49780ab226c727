/**
 * Clients of two servers that share what comes: one echoes without a framing,
 * the other line by line, and so each answer tells from which it is.
 *
 * @module
 */
import { bytes, text, within } from "./helpers.ts";

/** A client, and the server that it came to. */
export class Client implements Disposable {
  /** The framing of its server. */
  framing: string | undefined;
  #conn: Deno.TcpConn;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Connects, and asks once. */
  static async connect(port: number): Promise<Client> {
    const client = new Client(await Deno.connect({ port }));
    client.framing = await client.ask();
    return client;
  }

  /** Its own address, as the servers should log it. */
  get name(): string {
    return `127.0.0.1:${(this.#conn.localAddr as Deno.NetAddr).port}`;
  }

  /** Asks for the framing; `undefined` where the connection is no more. */
  async ask(): Promise<string | undefined> {
    try {
      await this.#conn.write(bytes("hello\r\n"));
      let answer = "";
      const buffer = new Uint8Array(16);
      while (!answer.endsWith("\n")) {
        const length = await within(this.#conn.read(buffer));
        if (length === null) return undefined;
        answer += text(buffer.subarray(0, length));
      }
      // A line is read with CRLF and written with LF.
      return answer === "hello\r\n" ? "raw" : "lines";
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return undefined;
      if (error instanceof Deno.errors.BrokenPipe) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#conn[Symbol.dispose]();
  }
}
