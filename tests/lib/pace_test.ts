/** An even pace. */
import { assert, assertEquals } from "@std/assert";
import { Pacer } from "../../lib/pace.ts";
import { within } from "../support/helpers.ts";

Deno.test("turn() is never early and never in a burst", async () => {
  using pacer = new Pacer(2);
  const start = performance.now();
  const times: number[] = [];
  for (let turn = 0; turn < 200; turn++) {
    await pacer.turn();
    times.push(performance.now());
    assert(times[turn] - start >= 2 * turn, `turn ${turn} was early`);
  }
  // Ten turns take 20 ms, or 5 ms where they catch up. Here, a busy machine
  // may add something to the time of the first.
  for (let turn = 10; turn < times.length; turn++) {
    const taken = times[turn] - times[turn - 10];
    assert(taken >= 3, `ten turns until turn ${turn} took ${taken} ms`);
  }
});

Deno.test("turn() catches up after a delay, at most four times as fast", async () => {
  using pacer = new Pacer(4);
  const start = performance.now();
  await pacer.turn();
  while (performance.now() < start + 40); // busy with something else
  const late = performance.now();
  // Ten turns are due by now: one comes at once, the others at 1 ms.
  for (let turn = 0; turn < 6; turn++) await pacer.turn();
  assert(performance.now() - late >= 5);
});

Deno.test("turn() waits for nothing at interval 0, and lets others have a turn", async () => {
  let others = 0;
  const timer = setInterval(() => others++, 1);
  const start = performance.now();
  using pacer = new Pacer(0);
  while (performance.now() < start + 100) await pacer.turn();
  clearInterval(timer);
  assert(others > 0);
});

Deno.test("turn() ends early when the signal is aborted", async () => {
  using pacer = new Pacer(3_600_000);
  await pacer.turn();
  const stop = new AbortController();
  const turn = pacer.turn(stop.signal);
  stop.abort();
  await within(turn);
  assertEquals(stop.signal.aborted, true);
});
