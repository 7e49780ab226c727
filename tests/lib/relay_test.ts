/** What the relay loads, and how it reads its options; the rest needs NATS. */
import { assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { CLIENTS } from "../../lib/modes/relay.ts";

Deno.test("CLIENTS are what deno.json names", () => {
  const { imports } = config;
  const names = ["@nats-io/transport-node", "@nats-io/jetstream"] as const;
  assertEquals(CLIENTS, names.map((name) => imports[name]));
});
