/** What our code expects of the client for NATS. */
import { assertEquals } from "@std/assert";
import * as transport from "@nats-io/transport-node";
import config from "../../deno.json" with { type: "json" };
import { NATS_CLIENT, type NatsClient } from "../../lib/nats.ts";

Deno.test("NATS_CLIENT is what deno.json names, and does what NatsClient says", () => {
  assertEquals(NATS_CLIENT, config.imports["@nats-io/transport-node"]);
  const client: NatsClient = transport; // a matter of types
  assertEquals(typeof client.connect, "function");
});
