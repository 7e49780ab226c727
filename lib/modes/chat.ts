/**
 * A chat: a person, or a program line by line, talks with one peer.
 *
 * @module
 */
import { OutputError } from "../command/output.ts";
import type { Prompt } from "../command/prompt.ts";
import { decodeFrames, type Framing } from "../framing.ts";
import { chunks, concatenate, pause, writeAll } from "../tcp/stream.ts";
import { hexDump, SafeTextDecoder } from "../text.ts";

/** How long the keyboard may be silent once the peer has ended, milliseconds. */
const CHAT_LINGER = 250;

/**
 * Sends typed lines and shows messages, both at any moment, until the peer ends,
 * `bye` is typed or the signal is aborted. The end of the input half-closes the
 * connection; closing it is left to the caller.
 */
export async function chat(
  conn: Deno.Conn,
  framing: Framing,
  prompt: Prompt,
  { hex = false, signal }: { hex?: boolean; signal?: AbortSignal } = {},
): Promise<void> {
  const isRaw = framing.name === "raw";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const over = new AbortController();
  let sent = 0;
  let isOpen = true;

  async function send(): Promise<void> {
    const { name, maxFrameLength } = framing;
    for await (const line of prompt.lines(over.signal)) {
      const { length } = line;
      const word = length < 16 ? new TextDecoder().decode(line).trim() : "";
      if (word.toLowerCase() === "bye") return resolve();
      if (length > maxFrameLength) {
        prompt.tell(
          `Not sent: this line has ${length} bytes, a message in ${name} at most ${maxFrameLength}`,
        );
        continue;
      }
      const bytes = framing.encode(line);
      const end = isRaw && bytes.at(-1) !== 10 ? [10] : [];
      await writeAll(conn, concatenate([bytes, new Uint8Array(end)]));
      sent++;
    }
    isOpen = false;
    if (!over.signal.aborted) await conn.closeWrite();
  }

  async function receive(): Promise<void> {
    const isPadded = framing.name.startsWith("fixed:") && !hex;
    const lineEnd = new Uint8Array(isRaw || hex ? [] : [10]);
    const safe = Deno.stdout.isTerminal() ? new SafeTextDecoder() : undefined;
    let offset = 0;
    for await (const message of decodeFrames(chunks(conn), framing)) {
      const length = isPadded
        ? message.findLastIndex((byte) => byte !== 0) + 1
        : message.length;
      const bytes = concatenate([message.subarray(0, length), lineEnd]);
      await show(hex ? hexDump(bytes, offset) : safe?.push(bytes) ?? bytes);
      offset += bytes.length;
    }
    await show(safe?.finish() ?? "");
    // A peer that has ended may still listen to what a program says.
    for (let before = -1; isOpen && before !== sent;) {
      before = sent;
      await pause(CHAT_LINGER, over.signal);
    }
  }

  async function show(what: string | Uint8Array): Promise<void> {
    const bytes = typeof what === "string"
      ? new TextEncoder().encode(what)
      : what;
    await writeAll(prompt, bytes).catch((error) => {
      throw new OutputError(error);
    });
  }

  signal?.addEventListener("abort", () => resolve(), { signal: over.signal });
  if (signal?.aborted) resolve();
  send().catch(reject);
  receive().then(resolve, reject);
  try {
    await promise;
  } finally {
    over.abort();
  }
}
