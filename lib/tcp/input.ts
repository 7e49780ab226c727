// `openInput`: standard input, until there is a reason to read no more of it.
import { patiently, type Reader } from "./stream.ts";

/** What is there of it; a parent may have made it non-blocking. */
export const standardInput: Reader = {
  read: (buffer) => patiently(() => Deno.stdin.read(buffer)),
};

/** Opens it; the abort of the signal ends a read that waits for a line, too. */
export async function openInput(signal?: AbortSignal): Promise<Reader> {
  if (!Deno.stdin.isTerminal()) {
    signal?.addEventListener("abort", () => Deno.stdin.close());
    return standardInput;
  }
  // Of what is typed on Windows, Deno.stdin gives no UTF-8 (denoland/deno#18240).
  const { stdin } = await import("node:process");
  signal?.addEventListener("abort", () => stdin.destroy());
  const typed = stdin[Symbol.asyncIterator]();
  let rest = new Uint8Array(0);
  return {
    async read(buffer) {
      if (rest.length === 0) rest = (await typed.next()).value ?? rest;
      const part = rest.subarray(0, buffer.length);
      buffer.set(part);
      rest = rest.subarray(part.length);
      return part.length || null;
    },
  };
}
