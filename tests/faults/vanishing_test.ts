/** Clients that are gone at once, or in the middle of a message. */
import { within } from "../support/helpers.ts";
import { isWell, report, RUDE, rudely, serverWith, short } from "./support.ts";

const FRAME = "\0\0\0\x05hello";

for (
  const [doing, act, question] of [
    ["connect and reset", "storm", "hello"],
    ["scan its port", "scan", "hello"],
    ["vanish in the middle of a message", "vanish", FRAME],
  ]
) {
  Deno.test(
    `tcp_server.ts serves the next client when 1,000 ${doing}`,
    RUDE,
    async () => {
      const framing = question === FRAME ? "u32" : "raw";
      await using server = await serverWith("-f", framing);
      const before = await server.descriptors();
      await rudely(act, server.port, 1000);
      const milliseconds = await server.serves(question);
      await server.settled(before);
      report(doing, `served after ${short(milliseconds)} ms`);
      await isWell(server);
    },
  );
}

Deno.test(
  "tcp_server.ts passes lines on when 1,000 members of a room vanish",
  RUDE,
  async () => {
    await using server = await serverWith("-m", "room");
    const before = await server.descriptors();
    await rudely("vanish", server.port, 1000);
    await server.settled(before);
    using ann = await Deno.connect({ port: server.port });
    // The first line that a member hears is about itself.
    await within(ann.read(new Uint8Array(1024)));
    await server.serves("hi\n", "* you are user");
    await isWell(server);
  },
);
