/**
 * A chat: a person, or a program line by line, talks with one peer.
 *
 * @module
 */
import { Output } from "../command/output.ts";
import type { Prompt } from "../command/prompt.ts";
import { decodeFrames, FrameTooLongError, type Framing } from "../framing.ts";
import { chunks, concatenate, pause, writeAll } from "../tcp/stream.ts";

/** How long a program may be silent once the peer has ended, milliseconds. */
const CHAT_LINGER = 250;

/** How a chat looks, and what ends it at once. */
export interface ChatOptions {
  /** Whether typed lines end with CRLF, in `raw` and `lines`. */
  crlf?: boolean;
  /** Whether what comes is shown in hexadecimal. */
  hex?: boolean;
  /** Ends the chat at once: nothing more is sent. */
  signal?: AbortSignal;
}

/**
 * Sends typed lines and shows messages, both at any moment, until the peer ends
 * or `bye` is typed. The end of the input half-closes the connection; closing
 * it is left to the caller.
 */
export async function chat(
  conn: Deno.Conn,
  framing: Framing,
  prompt: Prompt,
  options: ChatOptions = {},
): Promise<void> {
  const { crlf = false, hex = false, signal } = options;
  const output = new Output({ hex, to: prompt });
  const over = Promise.withResolvers<void>();
  const ended = new AbortController();
  let isOver = false;
  let sent = 0;

  async function send(): Promise<void> {
    for (;;) {
      const line = await prompt.next();
      if (isOver) return; // the line is for the next chat
      prompt.take();
      if (line === undefined) return await conn.closeWrite();
      if (isBye(line)) return leave();
      const bytes = encoded(line);
      if (bytes !== undefined) await writeAll(conn, bytes);
      sent++;
    }
  }

  /** The line as it is sent: `raw` has no limit, and sends the line's end. */
  function encoded(line: Uint8Array): Uint8Array | undefined {
    const { name } = framing;
    if (name === "raw" || (name === "lines" && crlf)) {
      return concatenate([line, new Uint8Array(crlf ? [13, 10] : [10])]);
    }
    try {
      return framing.encode(line);
    } catch (error) {
      if (!(error instanceof FrameTooLongError)) throw error;
      const { length, limit } = error;
      prompt.tell(
        `Not sent: this line has ${length} bytes, a message in ${name} at most ${limit}`,
      );
    }
  }

  async function receive(): Promise<void> {
    const isMessage = framing.name !== "raw" && !hex;
    for await (const message of decodeFrames(chunks(conn), framing)) {
      await output.write(shown(message));
      if (isMessage) await output.text("\n");
    }
    await output.finish();
    // A peer that has ended may still listen to what a program says.
    for (let before = -1; !prompt.terminal && before !== sent;) {
      before = sent;
      await pause(CHAT_LINGER, ended.signal);
    }
  }

  /** A `fixed:N` block is padded with NUL. */
  function shown(message: Uint8Array): Uint8Array {
    if (hex || !framing.name.startsWith("fixed:")) return message;
    return message.subarray(0, message.findLastIndex((byte) => byte !== 0) + 1);
  }

  const leave = () => {
    isOver = true;
    over.resolve();
  };
  signal?.addEventListener("abort", leave, { once: true });
  const { failed } = output;
  failed.addEventListener("abort", () => over.reject(failed.reason));
  if (signal?.aborted) leave();
  prompt.begin();
  send().catch(over.reject).finally(() => ended.abort());
  receive().then(over.resolve, over.reject);
  try {
    await over.promise;
  } finally {
    isOver = true;
    ended.abort();
    signal?.removeEventListener("abort", leave);
    await prompt.end();
  }
}

function isBye(line: Uint8Array): boolean {
  return line.length < 16 &&
    new TextDecoder().decode(line).trim().toLowerCase() === "bye";
}
