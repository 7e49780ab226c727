/**
 * A conversation between whoever is at the keyboard and one peer.
 *
 * @module
 */
import { LINGER, untilSilent } from "./duplex.ts";
import { decodeFrames, type Framing } from "./framing.ts";
import type { Keyboard } from "./keyboard.ts";
import { chunks, writeAll } from "./stream.ts";

const FAREWELL = "bye";

/** What belongs to a conversation besides its peer. */
export interface ConversationOptions {
  /** Where one message of the peer ends and the next begins. */
  framing: Framing;
  /** Who types. */
  keyboard: Keyboard;
  /** Gives a typed line the form that it has on the wire. */
  encode: (line: Uint8Array) => Uint8Array;
  /** Shows what the peer says. */
  show: (message: Uint8Array) => Promise<void>;
  /** Told when a typed line has been sent, or has ended the conversation. */
  onSent?: () => void;
}

/**
 * Carries on a conversation, both ways at any moment, until the peer ends it
 * or either side says `bye`. At the end of the typed lines the connection is
 * half-closed. Closing it is left to the caller.
 *
 * A peer that has ended may still listen: lines that a program types are sent
 * as long as they keep coming.
 *
 * @param conn The connection.
 * @param options The keyboard, the screen, and what is spoken.
 */
export async function converse(
  conn: Deno.Conn,
  options: ConversationOptions,
): Promise<void> {
  const { framing, keyboard, encode, show, onSent } = options;
  const sending = { turns: 0, waiting: true, done: false };
  let over = false;
  const end = Promise.withResolvers<void>();

  async function send(): Promise<void> {
    for (;;) {
      const line = await keyboard.next();
      if (over) return; // and leave the line to the next conversation
      keyboard.take();
      if (line === undefined) return await conn.closeWrite();
      if (isFarewell(line)) {
        onSent?.();
        return end.resolve();
      }
      sending.waiting = false;
      await writeAll(conn, encode(line));
      sending.waiting = true;
      sending.turns++;
      onSent?.();
    }
  }

  async function receive(sent: Promise<void>): Promise<void> {
    for await (const message of decodeFrames(chunks(conn), framing)) {
      await show(message);
      if (isFarewell(message)) return;
    }
    await untilSilent(sending, sent, keyboard.terminal ? 0 : LINGER);
  }

  const sent = send().finally(() => sending.done = true);
  sent.catch(end.reject);
  receive(sent).then(end.resolve, end.reject);
  try {
    await end.promise;
  } finally {
    over = true;
  }
}

function isFarewell(message: Uint8Array): boolean {
  return message.length < 16 &&
    new TextDecoder().decode(message).trim().toLowerCase() === FAREWELL;
}
