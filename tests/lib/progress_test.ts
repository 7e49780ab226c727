/** Progress: what it counts, and that a connection works under it as before. */
import { assertEquals, assertMatch } from "@std/assert";
import { showProgress } from "../../lib/command/progress.ts";
import { writeAll } from "../../lib/tcp/stream.ts";
import { pair } from "../support/fakes.ts";
import { bytes } from "../support/helpers.ts";

Deno.test("showProgress() counts both directions and says so at the end", async () => {
  using peer = await pair();
  const said: string[] = [];
  {
    using _progress = showProgress(peer.ours, (text) => said.push(text));
    await peer.ours.write(bytes("12345"));
    await writeAll(peer.ours, new Uint8Array(2335));
    await peer.say("abc");
    const buffer = new Uint8Array(16);
    assertEquals(await peer.ours.read(buffer), 3);
    assertEquals(buffer.subarray(0, 3), bytes("abc"));
    await peer.theirs.closeWrite();
    assertEquals(await peer.ours.read(buffer), null);
  }
  assertMatch(
    said.at(-1)!,
    /(^|K)sent 2\.34 kB \([\d.,]+ [kM]?B\/s\), received 3 B \([\d.,]+ [kM]?B\/s\), in \d+\.\d s\n$/,
  );
  if (!Deno.stderr.isTerminal()) assertEquals(said.length, 1);
});

Deno.test("showProgress() counts what was taken, not what was offered", async () => {
  using peer = await pair();
  let said = "";
  peer.ours.write = () => Promise.resolve(4);
  {
    using _progress = showProgress(peer.ours, (text) => said = text);
    assertEquals(await peer.ours.write(new Uint8Array(10)), 4);
  }
  assertMatch(said, /^sent 4 B \(.*\/s\), received 0 B \(0 B\/s\), in /);
});
