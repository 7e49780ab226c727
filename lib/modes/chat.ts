// A chat: a person, or a program line by line, talks with one peer.
import { Output, printable, typedLine } from "../command/output.ts";
import type { Prompt } from "../command/prompt.ts";
import type { Framing } from "../framing.ts";
import { duplex, SILENCE } from "../tcp/duplex.ts";
import { concatenate } from "../tcp/stream.ts";

const BYE = Symbol("bye");

/**
 * Sends typed lines and shows messages until the peer ends, `bye` is typed or
 * the signal is aborted. Closing the connection is left to the caller.
 */
export async function chat(
  conn: Deno.Conn,
  framing: Framing,
  prompt: Prompt,
  { signal, crlf }: { signal?: AbortSignal; crlf?: boolean } = {},
): Promise<void> {
  const { name, maxFrameLength } = framing;
  const heard = framing.createDecoder();
  const output = new Output({ to: prompt });
  const over = new AbortController();
  const signals = [over.signal, output.failed, ...signal ? [signal] : []];
  const stop = AbortSignal.any(signals);

  async function show(messages: Iterable<Uint8Array>): Promise<void> {
    try {
      for (const message of messages) {
        await output.write(concatenate(printable(message, framing)));
      }
    } catch (error) {
      over.abort(error); // what the peer says next has no meaning
    }
  }

  const person = {
    async *[Symbol.asyncIterator]() {
      for await (const line of prompt.lines(stop)) {
        const { length } = line;
        const isBye = /^\s*bye\s*$/i.test(new TextDecoder().decode(line));
        if (isBye) return over.abort(BYE);
        if (length <= maxFrameLength) yield typedLine(line, framing, crlf);
        else {
          prompt.tell(
            `Not sent: this line has ${length} bytes, a message in ${name} at most ${maxFrameLength}`,
          );
        }
      }
    },
    async write(bytes: Uint8Array): Promise<number> {
      await show(heard.push(bytes));
      return bytes.length;
    },
    async closeWrite(): Promise<void> {
      await show(heard.finish());
      await output.finish();
    },
  };
  try {
    await duplex(conn, person, { signal: stop, linger: SILENCE });
  } catch (error) {
    if (error !== BYE && !signal?.aborted) throw error;
  } finally {
    over.abort();
  }
}
