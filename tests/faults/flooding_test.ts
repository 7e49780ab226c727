/** Clients that send and never read. */
import { assert, assertEquals } from "@std/assert";
import { bytes, text, within } from "../support/helpers.ts";
import { lines, writeAll } from "../support/sockets.ts";
import { report, RUDE, rude, serverWith, short } from "./support.ts";

/** How much more memory 20 flooders may cost, in MiB. */
const MOST = 32;
/**
 * The same where each message is taken out and put in again: millions of small
 * objects a second make the engine's own heap grow, by some 20 MiB and no more.
 */
const MOST_WITH_MESSAGES = 64;

for (
  const [name, args, piece, question, answer] of [
    ["echo", [], "x", "hello\n", "hello\n"],
    ["chargen", ["-m", "chargen"], "x", "", ' !"#'],
    ["echo of lines", ["-f", "lines"], "hello\\n", "hello\n", "hello\n"],
    ["echo of empty lines", ["-f", "lines"], "\\n", "hello\n", "hello\n"],
    ["echo of CRLF", ["-f", "lines"], "hello\\r\\n", "hello\n", "hello\n"],
    ["a room", ["-m", "room"], "hello\\n", "", "* you are user"],
    ["a room, with empty lines", ["-m", "room"], "\\n", "", "* you are user"],
  ] as const
) {
  Deno.test(
    `tcp_server.ts keeps its memory when 20 clients flood ${name}`,
    RUDE,
    async () => {
      await using server = await serverWith(...args);
      await server.serves(question, answer);
      const before = await server.memory();
      let peak = before;
      await using flooders = rude("flood", server.port, 20, 3, piece);
      let over = false;
      const flooded = flooders.stdout(/flooded \d+\n/).finally(() =>
        over = true
      );
      while (!over) {
        peak = Math.max(peak, await server.memory());
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const [, sent] = (await flooded).split(" ");
      const milliseconds = await server.serves(question, answer);
      const grown = peak - before;
      report(
        `20 flooders of ${name}`,
        `${short(Number(sent) / 2 ** 20)} MiB sent`,
        `memory ${short(before)} + ${short(grown)} MiB`,
        `the next one served after ${short(milliseconds)} ms`,
      );
      const takenOut = args[1] === "room" || piece.includes("\\r");
      const most = takenOut ? MOST_WITH_MESSAGES : MOST;
      assert(grown < most, `It grew by ${grown} MiB`);
    },
  );
}

/** How many lines are said in the room. */
const LINES = 200_000;

/** Joins a room and hears its first member out; gives how many lines came. */
async function hear(port: number, joined: () => void): Promise<number> {
  using conn = await Deno.connect({ port });
  let count = 0;
  for await (const line of lines(conn)) {
    const said = text(line);
    if (said.startsWith("* you are")) joined();
    if (said.startsWith("* ")) continue;
    if (said === "<user1> the end") return count;
    if (said !== `<user1> ${String(count).padEnd(199, "x")}`) {
      throw new Error(`Instead of ${count} it heard ${said}`);
    }
    count++;
  }
  throw new Error(`It was cut off after ${count} lines`);
}

Deno.test(
  "tcp_server.ts drops a member that never reads when ten others hear 200,000 lines",
  RUDE,
  async () => {
    await using server = await serverWith("-m", "room");
    using speaker = await Deno.connect({ port: server.port });
    await server.running.stderr("joined as user1");
    using _deaf = await Deno.connect({ port: server.port });
    await server.running.stderr("joined as user2");
    let joined = 0;
    const everybody = Promise.withResolvers<void>();
    const hearing = Promise.all(
      Array.from({ length: 10 }, () =>
        hear(server.port, () => {
          if (++joined === 10) everybody.resolve();
        })),
    );
    await within(everybody.promise);
    const before = await server.memory();
    const start = performance.now();
    for (let line = 0; line < LINES; line += 1000) {
      const block = Array.from(
        { length: 1000 },
        (_, i) => `${String(line + i).padEnd(199, "x")}\n`,
      );
      await within(writeAll(speaker, bytes(block.join(""))));
    }
    await writeAll(speaker, bytes("the end\n"));
    assertEquals(await within(hearing), Array(10).fill(LINES));
    await server.running.stderr("dropped as user2");
    report(
      "a room of ten and a deaf one",
      `${short((performance.now() - start) / 1000)} s`,
      `memory ${short(before)} + ${short(await server.memory() - before)} MiB`,
    );
  },
);
