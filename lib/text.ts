/**
 * Bytes and text from a peer, made fit for a person's terminal.
 *
 * A terminal obeys what it prints: an escape sequence can retitle the window,
 * write the clipboard or move the cursor over what was there; a bidirectional
 * override shows text in another order than it has. So such characters are
 * shown, as `\x1b` or `\u202e`, and never sent.
 *
 * @module
 */

// Controls, bidirectional controls, line separators, invisible tags; with names
// (`\p{Cc}`) it would take a third of a millisecond to load.
const UNSAFE =
  // deno-lint-ignore no-control-regex
  /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/**
 * Makes text safe as a part of one line: every control is shown, line ends too.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(safeLine("red: \x1b[31m\nnext"), "red: \\x1b[31m\\x0anext");
 * ```
 */
export function safeLine(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const hex = character.codePointAt(0)!.toString(16).padStart(2, "0");
    if (hex.length === 2) return `\\x${hex}`;
    return hex.length > 4 ? `\\u{${hex}}` : unicodeEscape(character);
  });
}

/**
 * Writes a value as JSON on one line that is safe for a terminal. It still
 * means the same: JSON's own escapes stand for what is unsafe in it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(safeJson(["\x9b31m", "\u202e"]), '["\\u009b31m","\\u202e"]');
 * ```
 */
export function safeJson(value: unknown): string {
  // JSON names a character beyond U+FFFF by its two halves.
  const escaped = (text: string) => text.replace(/[^]/g, unicodeEscape);
  return JSON.stringify(value).replace(UNSAFE, escaped);
}

function unicodeEscape(half: string): string {
  return `\\u${half.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * Turns a stream of bytes into text that is safe to print as it comes. Of what
 * a terminal obeys, only line feeds and tabs stay as they are.
 *
 * A character may lie across two chunks, and so may a CRLF, which is printed
 * as a plain line feed. Bytes that are not UTF-8 become U+FFFD.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const decoder = new SafeTextDecoder();
 * assertEquals(decoder.push(new Uint8Array([0xe2, 0x82])), "");
 * assertEquals(decoder.push(new Uint8Array([0xac, 0x0d])), "€");
 * assertEquals(decoder.push(new Uint8Array([0x0a, 0x07])), "\n\\x07");
 * assertEquals(decoder.finish(), "");
 * ```
 */
export class SafeTextDecoder {
  #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #held = "";

  /** Takes the next bytes; gives what can be printed now. */
  push(chunk: Uint8Array): string {
    const decoded = this.#decoder.decode(chunk, { stream: true });
    const text = (this.#held + decoded).replaceAll("\r\n", "\n");
    this.#held = text.endsWith("\r") ? "\r" : "";
    return text.replace(/\r$/, "").replace(/[^\n\t]+/g, (run) => safeLine(run));
  }

  /** Gives what was held back: half a character, or a carriage return. */
  finish(): string {
    return safeLine(this.#held + this.#decoder.decode());
  }
}

/**
 * Shows bytes in rows of sixteen, from `offset` on: hexadecimal, then ASCII.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   hexDump(new TextEncoder().encode("hello\n")),
 *   "00000000  68 65 6c 6c 6f 0a                                 |hello.|\n",
 * );
 * ```
 */
export function hexDump(bytes: Uint8Array, offset = 0): string {
  let dump = "";
  for (let start = 0; start < bytes.length; start += 16) {
    const row = bytes.subarray(start, start + 16);
    const position = (offset + start).toString(16).padStart(8, "0");
    // A wider gap after the eighth byte: the eye finds a byte by its column.
    const hex = row.toHex().replace(/../g, "$& ").replace(/^.{24}/, "$& ");
    const ascii = String.fromCharCode(...row).replace(/[^ -~]/g, ".");
    dump += `${position}  ${hex.padEnd(49)} |${ascii}|\n`;
  }
  return dump;
}
