import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { race } from "../../lib/race.ts";
import { closedPort } from "../support/helpers.ts";

Deno.test("race() takes the first address when it connects", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const hosts = ["127.0.0.1", "::1"];
  const { conn, attempts } = await race(hosts, listener.addr.port);
  conn?.close();
  assertEquals(attempts.map(({ outcome }) => outcome), ["won", "untried"]);
});

Deno.test("race() does not wait for the delay when an address fails", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const start = performance.now();
  const hosts = ["::1", "127.0.0.1"];
  const { conn, attempts } = await race(hosts, listener.addr.port, {
    delay: 60_000,
  });
  conn?.close();
  assert(performance.now() - start < 30_000);
  assertEquals(attempts.map(({ outcome }) => outcome), ["failed", "won"]);
});

Deno.test("race() gives every error when no address connects", async () => {
  const { conn, attempts } = await race(["127.0.0.1", "::1"], closedPort());
  assertEquals(conn, undefined);
  for (const { outcome, error, milliseconds } of attempts) {
    assertEquals(outcome, "failed");
    assertInstanceOf(error, Error);
    assert(milliseconds! >= 0);
  }
});

Deno.test("race() closes the other connection when two addresses connect at once", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { connect } = Deno;
  const both = Promise.withResolvers<void>();
  let tried = 0;
  // Neither connects before the other is under way, and no signal stops them.
  Deno.connect = (async ({ hostname, port }: Deno.ConnectOptions) => {
    if (++tried === 2) both.resolve();
    await both.promise;
    return await connect({ hostname, port });
  }) as typeof Deno.connect;
  try {
    const hosts = ["127.0.0.1", "127.0.0.1"];
    const options = { delay: 0 };
    const { conn, attempts } = await race(hosts, listener.addr.port, options);
    assertEquals(
      attempts.map(({ outcome }) => outcome).toSorted(),
      ["late", "won"],
    );
    // The sanitizer of resources finds the other one if it is left open.
    conn!.close();
  } finally {
    Deno.connect = connect;
  }
});

Deno.test("race() tries nothing when its signal is aborted already", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  const { conn, attempts } = await race(["127.0.0.1"], 1, { signal });
  assertEquals(conn, undefined);
  assertEquals(attempts, [{ hostname: "127.0.0.1", outcome: "untried" }]);
});
