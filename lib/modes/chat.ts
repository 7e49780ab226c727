// A chat: a person, or a program line by line, talks with one peer.
import { printable, typedLine } from "../command/output.ts";
import type { Prompt } from "../command/prompt.ts";
import { decodeFrames, type Framing } from "../framing.ts";
import { chunks, concatenate, pause } from "../tcp/stream.ts";
import { SILENCE, unlessGone, writeAll } from "../tcp/stream.ts";

// Sends typed lines and shows messages, both at any moment, until the peer ends,
// `bye` is typed or the signal is aborted. The end of the input half-closes.
export async function chat(
  conn: Deno.Conn,
  framing: Framing,
  prompt: Prompt,
  { signal, crlf }: { signal?: AbortSignal; crlf?: boolean } = {},
): Promise<void> {
  const { name, maxFrameLength } = framing;
  const over = new AbortController();
  const stop = AbortSignal.any([over.signal, ...signal ? [signal] : []]);
  let isSending = true; // whether more is likely to be typed

  async function send(): Promise<void> {
    for await (const line of prompt.lines(stop)) {
      if (/^\s*bye\s*$/i.test(new TextDecoder().decode(line))) return;
      if (line.length > maxFrameLength) {
        prompt.tell(
          `Not sent: this line has ${line.length} bytes, a message in ${name} at most ${maxFrameLength}`,
        );
        continue;
      }
      await writeAll(conn, typedLine(line, framing, crlf));
      isSending = true;
    }
    isSending = false;
    if (!stop.aborted) await conn.closeWrite().catch(unlessGone);
    await received;
  }

  async function receive(): Promise<void> {
    for await (const message of decodeFrames(chunks(conn), framing)) {
      if (stop.aborted) return;
      await prompt.write(concatenate(printable(message, framing)));
    }
    // A peer that has ended may still listen to what a program says.
    while (isSending) {
      isSending = false;
      await pause(SILENCE, stop);
    }
  }

  const received = receive();
  try {
    await Promise.race([send(), received, pause(2 ** 31 - 1, stop)]);
  } finally {
    over.abort();
  }
}
