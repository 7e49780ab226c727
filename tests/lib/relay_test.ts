/** What the relay loads, and how it reads its options; the rest needs NATS. */
import { assertEquals, assertThrows } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import {
  JETSTREAM_CLIENT,
  NATS_CLIENT,
  readRelayAddress,
} from "../../lib/modes/relay.ts";

Deno.test("NATS_CLIENT and JETSTREAM_CLIENT are what deno.json names", () => {
  const { imports } = config;
  assertEquals(NATS_CLIENT, imports["@nats-io/transport-node"]);
  assertEquals(JETSTREAM_CLIENT, imports["@nats-io/jetstream"]);
});

for (
  const [relay, transport, hostname, port] of [
    ["nats://10.0.0.7", "tcp", "10.0.0.7", 4222],
    ["NATS://localhost:1", "tcp", "localhost", 1],
    ["tls://[::1]:4443", "tls", "::1", 4443],
  ] as const
) {
  Deno.test(`readRelayAddress() reads ${relay}`, () => {
    const address = readRelayAddress({ mode: "room", relay });
    assertEquals(address, { transport, hostname, port });
  });
}

for (
  const relay of ["10.0.0.7:4222", "http://a", "nats://unix:/a", "nats://"]
) {
  Deno.test(`readRelayAddress() refuses ${relay}`, () => {
    const read = () => readRelayAddress({ mode: "room", relay });
    assertThrows(read, SyntaxError, "--relay must be nats://HOST:PORT or tls:");
  });
}
