/**
 * One conversation at this terminal: typed lines out, messages in.
 *
 * @module
 */
import { converse } from "./chat.ts";
import type { Framing } from "./framing.ts";
import type { Keyboard } from "./keyboard.ts";
import { encodeTyped, withoutPadding } from "./messages.ts";
import type { Output } from "./output.ts";
import { Screen } from "./screen.ts";

/** What belongs to a conversation at a terminal, besides its peer. */
export interface TalkOptions {
  /** Where one message ends and the next begins, both ways. */
  framing: Framing;
  /** Who types. */
  keyboard: Keyboard;
  /** Where messages are shown. */
  output: Output;
  /**
   * Whether typed lines end with CRLF, in `raw` and `lines`.
   *
   * @default {false}
   */
  crlf?: boolean;
  /**
   * Shows bytes as they come, not each message on a line of its own.
   *
   * @default {false}
   */
  asIs?: boolean;
}

/**
 * Carries on a conversation with whoever is at the keyboard, and asks them for
 * each line where they are a person.
 *
 * @param conn The connection; closing it is left to the caller.
 * @param options The keyboard, the screen, and what is spoken.
 */
export async function talk(
  conn: Deno.Conn,
  { framing, keyboard, output, crlf = false, asIs = false }: TalkOptions,
): Promise<void> {
  using screen = new Screen(output, keyboard.terminal);
  screen.prompt();
  try {
    await converse(conn, {
      framing,
      keyboard,
      encode: (line) => encodeTyped(line, framing, crlf),
      show: (message) =>
        asIs
          ? screen.stream(message)
          : screen.message(withoutPadding(message, framing)),
      onSent: () => screen.entered(),
    });
  } finally {
    await screen.end();
  }
}
