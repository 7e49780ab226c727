/** What the relay loads, and how it reads its options; the rest needs NATS. */
import { assertEquals, assertThrows } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { CLIENTS, parseNatsAddress } from "../../lib/modes/relay.ts";

Deno.test("CLIENTS are what deno.json names", () => {
  const { imports } = config;
  const names = ["@nats-io/transport-node", "@nats-io/jetstream"] as const;
  assertEquals(CLIENTS, names.map((name) => imports[name]));
});

for (
  const [relay, transport, hostname, port] of [
    ["nats://10.0.0.7", "tcp", "10.0.0.7", 4222],
    ["NATS://localhost:1", "tcp", "localhost", 1],
    ["tls://[::1]:4443", "tls", "::1", 4443],
  ] as const
) {
  Deno.test(`parseNatsAddress() reads ${relay}`, () => {
    const address = parseNatsAddress(relay);
    assertEquals(address, { transport, hostname, port });
  });
}

for (
  const relay of ["10.0.0.7:4222", "http://a", "nats://unix:/a", "nats://"]
) {
  Deno.test(`parseNatsAddress() refuses ${relay}`, () => {
    const read = () => parseNatsAddress(relay);
    assertThrows(read, SyntaxError, "--relay must be nats://HOST:PORT or tls:");
  });
}
