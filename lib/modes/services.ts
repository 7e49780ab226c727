// The small services that every network once had: echo (RFC 862), discard
// (RFC 863), the character generator (RFC 864), and a greeting.
import { FEED, RETURN } from "../framing/line_feeds.ts";
import type { Framing } from "../framing.ts";
import { isGonePeer } from "../tcp/errors.ts";
import { chunks, concatenate, copy, discard } from "../tcp/stream.ts";
import { farewell, turn, writeAll } from "../tcp/stream.ts";

// Makes the reply to a message; in `raw`, to what one read gives. The next
// message overwrites this one: to keep it, take a `slice()`.
export type Reply = (message: Uint8Array) => Uint8Array;

/** An echo's reply: `answer` mostly skips it, so replace it, do not edit it. */
export const unchanged: Reply = (message) => message;

/** What one write sends at most, unless a single reply is longer. */
const FULL_BATCH = 65_536; // bytes
/** More short replies in one go would keep other clients waiting. */
const MANY_REPLIES = 1024;
// Replies are put together here for one write. All connections share it: nothing
// is awaited between the first reply and the copy that is sent.
const batchBuffer = new Uint8Array(2 * FULL_BATCH);

/** Answers every message, up to a bad one; `send` gets the replies. */
export function answer(
  conn: Deno.Conn,
  framing: Framing,
  reply: Reply,
  send = (replies: Uint8Array) => writeAll(conn, replies),
): Promise<unknown> {
  const echoed = reply === unchanged ? framing.name : undefined;
  if (echoed === "raw") return copy(conn, conn);
  const decoder = framing.createDecoder();

  async function answerEach(messages: Iterable<Uint8Array>): Promise<void> {
    let [batch, length, count] = [batchBuffer, 0, 0];
    try {
      for (const message of messages) {
        const payload = reply(message);
        let end = framing.encodeInto(payload, batch, length);
        if (end > batch.length) {
          batch = concatenate([batch, new Uint8Array(end)]);
          end = framing.encodeInto(payload, batch, length);
        }
        length = end;
        if (length < FULL_BATCH && ++count < MANY_REPLIES) continue;
        const replies = batch.slice(0, length);
        [batch, length, count] = [batchBuffer, 0, 0];
        await send(replies);
        await turn();
      }
    } finally {
      await send(batch.slice(0, length));
    }
  }

  // A function of its own: an idle connection in `raw` saves its memory.
  async function answerAll(): Promise<void> {
    let inLine = false;
    for await (let chunk of chunks(conn, { reuse: true })) {
      if (echoed === "lines") {
        const start = inLine ? chunk.indexOf(FEED) + 1 : 0;
        const end = chunk.lastIndexOf(FEED) + 1;
        const whole = chunk.subarray(start, end);
        inLine = end < chunk.length;
        // Whole lines go back as they came, in a third of the time, if decoding
        // changes nothing: together they are under the limit, and have no CR.
        if (whole.length <= framing.maxFrameLength && !whole.includes(RETURN)) {
          const head = chunk.subarray(0, start);
          if (start > 0) await answerEach(decoder.push(head));
          await send(whole);
          chunk = chunk.subarray(end);
        }
      }
      if (chunk.length > 0) await answerEach(decoder.push(chunk));
    }
    await answerEach(decoder.finish());
  }

  return answerAll();
}

/** Makes a message of a greeting; one that is too long is our own fault. */
export function encodeGreeting(
  text: string,
  { name, maxFrameLength, encode }: Framing,
): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const { length } = bytes;
  if (length <= maxFrameLength) return encode(bytes);
  throw new RangeError(
    `the greeting has ${length} bytes, a message in ${name} at most ${maxFrameLength}`,
  );
}

/** Sends a greeting, and closes. */
export async function greet(conn: Deno.Conn, greeting: Uint8Array) {
  await writeAll(conn, greeting);
  await farewell(conn);
}

/** Sends printable characters until the client goes. */
export async function generateCharacters(conn: Deno.Conn): Promise<void> {
  // Each line starts one character later, so after 95 lines it repeats.
  const pattern = Uint8Array.from({ length: 9 * 95 * 74 }, (_, i) => {
    const [line, column] = [Math.floor(i / 74), i % 74];
    return column < 72 ? 0x20 + (line + column) % 95 : [13, 10][column - 72];
  });
  // What a client says meanwhile is thrown away; its end does not stop us.
  discard(conn).catch(() => {});
  try {
    for (;;) await writeAll(conn, pattern);
  } catch (error) {
    // A client can end this only by going away.
    if (error instanceof Deno.errors.BrokenPipe || isGonePeer(error)) return;
    throw error;
  }
}
