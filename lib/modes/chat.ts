// A chat: a person, or a program line by line, talks with one peer.
import { OutputError } from "../command/output.ts";
import type { Prompt } from "../command/prompt.ts";
import { decodeFrames, type Framing } from "../framing.ts";
import { unlessGone } from "../tcp/errors.ts";
import { SILENCE } from "../tcp/duplex.ts";
import { chunks, concatenate, pause, writeAll } from "../tcp/stream.ts";
import { SafeTextDecoder } from "../text.ts";

/**
 * Sends typed lines and shows messages, both at any moment, until the peer ends,
 * `bye` is typed or the signal is aborted. The end of the input half-closes the
 * connection; closing it is left to the caller.
 */
export async function chat(
  conn: Deno.Conn,
  framing: Framing,
  prompt: Prompt,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  const { name, maxFrameLength } = framing;
  const isRaw = name === "raw";
  const over = new AbortController();
  const stop = AbortSignal.any([over.signal, ...signal ? [signal] : []]);
  let sent = 0;
  let isOpen = true;

  async function send(): Promise<void> {
    for await (const line of prompt.lines(stop)) {
      if (/^\s*bye\s*$/i.test(new TextDecoder().decode(line))) return;
      const { length } = line;
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
    if (!stop.aborted) await conn.closeWrite().catch(unlessGone);
    await received;
  }

  async function receive(): Promise<void> {
    const isPadded = name.startsWith("fixed:");
    const lineEnd = new Uint8Array(isRaw ? [] : [10]);
    const safe = Deno.stdout.isTerminal() ? new SafeTextDecoder() : undefined;
    for await (const message of decodeFrames(chunks(conn), framing)) {
      const last = message.findLastIndex((byte) => !isPadded || byte !== 0);
      const bytes = concatenate([message.subarray(0, last + 1), lineEnd]);
      await show(safe?.push(bytes) ?? bytes);
    }
    await show(safe?.finish() ?? "");
    // A peer that has ended may still listen to what a program says.
    for (let before = -1; isOpen && before !== sent;) {
      before = sent;
      await pause(SILENCE, stop);
    }
  }

  async function show(what: string | Uint8Array): Promise<void> {
    const isText = typeof what === "string";
    const bytes = isText ? new TextEncoder().encode(what) : what;
    await writeAll(prompt, bytes).catch((error) => {
      throw new OutputError(error);
    });
  }

  const received = receive();
  try {
    await Promise.race([send(), received, pause(2 ** 31 - 1, stop)]);
  } finally {
    over.abort();
  }
}
