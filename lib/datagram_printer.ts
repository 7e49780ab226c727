/**
 * Datagrams on standard output, each for itself.
 *
 * @module
 */
import type { Output } from "./output.ts";
import { hexDump, safeText } from "./text.ts";

/**
 * Prints a datagram. A program gets its bytes as they are and nothing between
 * two of them; a person gets text on lines of its own, or a hex dump.
 *
 * @param output Where to print.
 * @param payload What the datagram holds.
 * @throws {OutputError} If standard output takes no more.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { Output } from "./output.ts";
 *
 * let shown = "";
 * const to = {
 *   write(bytes: Uint8Array) {
 *     shown += new TextDecoder().decode(bytes);
 *     return Promise.resolve(bytes.length);
 *   },
 * };
 * const terminal = new Output({ to, terminal: true });
 * await printDatagram(terminal, new TextEncoder().encode("hello\x07"));
 * assertEquals(shown, "hello\\x07\n");
 * ```
 */
export async function printDatagram(
  output: Output,
  payload: Uint8Array,
): Promise<void> {
  if (output.hex) return await output.text(hexDump(payload) || "\n");
  if (!output.terminal) return await output.writeAll(payload);
  const text = safeText(decoder.decode(payload).replaceAll("\r\n", "\n"));
  await output.text(text.endsWith("\n") ? text : `${text}\n`);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
