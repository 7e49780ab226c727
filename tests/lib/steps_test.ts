import { assert, assertEquals, assertRejects } from "@std/assert";
import { drawSteps, Stopwatch, totalOf } from "../../lib/steps.ts";

Deno.test("time() keeps the step when it fails", async () => {
  const started: string[] = [];
  const stopwatch = new Stopwatch((name) => started.push(name));
  await stopwatch.time("one", () => Promise.resolve());
  const fail = () => Promise.reject(new Error("no"));
  await assertRejects(() => stopwatch.time("two", fail), Error, "no");
  assertEquals(started, ["one", "two"]);
  const [one, two] = stopwatch.steps;
  assertEquals(one.start, 0);
  assert(two.start >= one.milliseconds);
  assertEquals(totalOf(stopwatch.steps), two.start + two.milliseconds);
});

Deno.test("totalOf() is 0 when there are no steps", () => {
  assertEquals(totalOf([]), 0);
  assertEquals(drawSteps([]).length, 1);
});

Deno.test("drawSteps() draws in eighths of a character when a step ends within one", () => {
  for (let eighths = 1; eighths <= 16; eighths++) {
    const step = { name: "a", start: 0, milliseconds: eighths };
    const [line] = drawSteps([step], { scale: 16, width: 2 });
    const bar = line.slice(17, 19);
    const length = [...bar].reduce(
      (sum, c) => sum + " ▏▎▍▌▋▊▉█".indexOf(c),
      0,
    );
    assertEquals(length, eighths);
  }
});

Deno.test("drawSteps() draws something when a step took next to no time", () => {
  const steps = [
    { name: "long", start: 0, milliseconds: 1000 },
    { name: "short", start: 1000, milliseconds: 0.001 },
  ];
  const [long, short] = drawSteps(steps, { width: 10 });
  assertEquals(long, `long             ${"█".repeat(10)}    1000.0 ms`);
  // Within the width, although the step lies at its very end.
  assertEquals(short, `short            ${" ".repeat(9)}▏       0.0 ms`);
});

Deno.test("drawSteps() draws the same length when the scale is the same", () => {
  const step = { name: "a", start: 0, milliseconds: 10 };
  const [line] = drawSteps([step], { scale: 40, width: 8 });
  assertEquals(line, "a                ██            10.0 ms");
});
