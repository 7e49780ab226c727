/**
 * The small services that every network once had: echo (RFC 862), discard
 * (RFC 863), character generator (RFC 864), and a greeting.
 *
 * @module
 */
import type { Framing } from "./frame.ts";
import { FrameBatch } from "./frame_batch.ts";
import { FEED, wholeLines } from "./framing/line_feeds.ts";
import { turn } from "./pause.ts";
import type { Handler } from "./serve.ts";
import { copy, reusedChunks, writeAll } from "./stream.ts";

/** What is thrown away, of all connections alike, goes here. */
const nowhere = new Uint8Array(65_536);

/** Reads to the end, at no cost in memory. */
async function readOut(conn: Deno.Conn): Promise<void> {
  while (await conn.read(nowhere) !== null);
}

/**
 * Makes the service that sends back what comes (RFC 862).
 *
 * @param framing Sends back frame by frame; a bad frame ends the conversation.
 * Without one, or with `raw`, bytes go back as they come.
 * @returns The service.
 */
export function echo(framing?: Framing): Handler {
  if (framing === undefined || framing.name === "raw") {
    return (conn) => copy(conn, conn);
  }
  return (conn) => echoFrames(conn, framing);
}

async function echoFrames(conn: Deno.Conn, framing: Framing): Promise<void> {
  const decoder = framing.createDecoder();
  const replies = new FrameBatch(framing);
  const reply = async (frames: Iterable<Uint8Array>) => {
    try {
      for (const frame of frames) {
        if (!replies.add(frame)) continue;
        await writeAll(conn, replies.take());
        await turn();
      }
    } finally {
      // One write for many frames, those before a bad one too.
      await writeAll(conn, replies.take());
    }
  };
  let inLine = false;
  for await (const chunk of reusedChunks(conn)) {
    const [start, end] = framing.name === "lines"
      ? wholeLines(chunk, inLine, framing.maxFrameLength)
      : [0, 0];
    inLine = chunk[chunk.length - 1] !== FEED;
    if (start > 0) await reply(decoder.push(chunk.subarray(0, start)));
    if (end > start) await writeAll(conn, chunk.subarray(start, end));
    if (end < chunk.length) await reply(decoder.push(chunk.subarray(end)));
  }
  await reply(decoder.finish());
}

/** How long a greeted client may keep its end open, in milliseconds. */
const GREETING_LINGER = 1000;

/**
 * Makes the service that greets and closes.
 *
 * @param greeting What to send.
 * @returns The service.
 */
export function greet(greeting: Uint8Array): Handler {
  return async (conn) => {
    await writeAll(conn, greeting);
    await conn.closeWrite();
    // Closing on unread bytes resets the connection, and on some systems a
    // reset takes the greeting away from a client that has not read it yet.
    const timer = setTimeout(() => conn[Symbol.dispose](), GREETING_LINGER);
    try {
      await readOut(conn);
    } catch {
      // It has the greeting; how it leaves does not matter.
    } finally {
      clearTimeout(timer);
    }
  };
}

/**
 * Reads everything and says nothing (RFC 863).
 *
 * @param conn The connection.
 */
export async function discard(conn: Deno.Conn): Promise<void> {
  await readOut(conn);
}

/**
 * Sends printable characters until the client goes (RFC 864).
 *
 * @param conn The connection.
 */
export async function generateCharacters(conn: Deno.Conn): Promise<void> {
  const pattern = characterPattern();
  // What a client says meanwhile is thrown away; its end is no reason to stop.
  const discarding = readOut(conn);
  discarding.catch(() => {});
  try {
    for (;;) await writeAll(conn, pattern);
  } catch (error) {
    // Going away is the only way a client has to end this.
    if (error instanceof Deno.errors.BrokenPipe) return;
    if (error instanceof Deno.errors.ConnectionReset) return;
    throw error;
  }
}

const PRINTABLE = Array.from(
  { length: 95 },
  (_, i) => String.fromCharCode(0x20 + i),
).join("");
const LINE_LENGTH = 72;

/** Each line starts one character later, so that after 95 all comes again. */
function characterPattern(): Uint8Array {
  const lines = Array.from(
    PRINTABLE,
    (_, i) => `${(PRINTABLE + PRINTABLE).slice(i, i + LINE_LENGTH)}\r\n`,
  );
  return new TextEncoder().encode(lines.join("").repeat(9));
}
