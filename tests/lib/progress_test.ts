/** Progress: what it counts, and that a connection works under it as before. */
import { assertEquals, assertMatch } from "@std/assert";
import { logWritten } from "../../lib/command/log.ts";
import { showProgress } from "../../lib/command/progress.ts";
import { writeAll } from "../../lib/tcp/stream.ts";
import { collecting, pair } from "../support/fakes.ts";
import { bytes, text } from "../support/helpers.ts";

/** What is written to standard error meanwhile, as if to a pipe. */
async function saidDuring(act: () => Promise<void>): Promise<string> {
  const page = collecting();
  const { write, isTerminal } = Deno.stderr;
  Object.assign(Deno.stderr, { write: page.write, isTerminal: () => false });
  try {
    await act();
    await logWritten(false);
  } finally {
    Object.assign(Deno.stderr, { write, isTerminal });
  }
  return text(page.bytes);
}

Deno.test("showProgress() counts both directions and says so at the end", async () => {
  using peer = await pair();
  const said = await saidDuring(async () => {
    using _progress = showProgress(peer.ours);
    await peer.ours.write(bytes("12345"));
    await writeAll(peer.ours, new Uint8Array(2335));
    await peer.say("abc");
    const buffer = new Uint8Array(16);
    assertEquals(await peer.ours.read(buffer), 3);
    assertEquals(buffer.subarray(0, 3), bytes("abc"));
    await peer.theirs.closeWrite();
    assertEquals(await peer.ours.read(buffer), null);
  });
  assertMatch(
    said,
    /^sent 2\.34 kB \([\d.,]+ [kM]?B\/s\), received 3 B \([\d.,]+ [kM]?B\/s\), in \d+\.\d s\n$/,
  );
});

Deno.test("showProgress() counts what was taken, not what was offered", async () => {
  using peer = await pair();
  peer.ours.write = () => Promise.resolve(4);
  const said = await saidDuring(async () => {
    using _progress = showProgress(peer.ours);
    assertEquals(await peer.ours.write(new Uint8Array(10)), 4);
  });
  assertMatch(said, /^sent 4 B \(.*\/s\), received 0 B \(0 B\/s\), in /);
});
