/** The wait that can be ended. */
import { pause } from "../../lib/pause.ts";

Deno.test("pause() goes on when its signal is aborted, before or meanwhile", async () => {
  const aborted = AbortSignal.abort();
  await pause(60_000, aborted);
  const stop = new AbortController();
  const paused = pause(60_000, stop.signal);
  stop.abort();
  await paused;
  await pause(1);
});
