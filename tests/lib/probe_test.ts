import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
} from "@std/assert";
import { Deadline } from "../../lib/deadline.ts";
import { meaningOf } from "../../lib/meaning.ts";
import { probe, StepError, type Target } from "../../lib/probe.ts";
import { closedPort } from "../support/helpers.ts";

function targetOn(port: number): Target {
  return { hostname: "www.example.test", port, tls: false, path: "/" };
}

Deno.test("probe() times each step when a server answers", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await listener.accept();
    await conn.read(new Uint8Array(4096));
    await conn.write(new TextEncoder().encode("HTTP/1.0 404 \r\n"));
  })();
  const { port } = listener.addr;
  using deadline = new Deadline(30_000);
  const found = await probe(targetOn(port), ["127.0.0.1"], deadline);
  await serving;
  assertEquals(found.error, undefined);
  assertEquals(found.address, `127.0.0.1:${port}`);
  assertEquals(found.status, "HTTP/1.0 404 ");
  const [connect, firstByte] = found.steps;
  assertEquals([connect.name, firstByte.name], ["connect", "first byte"]);
  assert(firstByte.start >= connect.milliseconds);
});

Deno.test("probe() gives the failed step and its time when nobody listens", async () => {
  using deadline = new Deadline(30_000);
  const port = closedPort();
  const found = await probe(targetOn(port), ["127.0.0.1"], deadline);
  assertEquals(found.steps.map(({ name }) => name), ["connect"]);
  assertInstanceOf(found.error, StepError);
  assertEquals(found.error.step, "connect");
  assertEquals(
    found.error.message,
    `Cannot connect to www.example.test:${port} (127.0.0.1:${port}): nobody listens there (connection refused)`,
  );
});

Deno.test("probe() closes the connection when the time is over", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using deadline = new Deadline(200);
  const probing = probe(
    targetOn(listener.addr.port),
    ["127.0.0.1"],
    deadline,
  );
  using conn = await listener.accept();
  const { error, steps } = await probing;
  assertEquals(error?.step, "first byte");
  assert(steps[1].milliseconds > 100);
  const buffer = new Uint8Array(4096);
  assert(await conn.read(buffer) !== null); // the question
  assertEquals(await conn.read(buffer), null);
});

Deno.test("probe() gives the signal's reason when it is aborted before", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const signal = AbortSignal.abort(new Deno.errors.TimedOut("too late"));
  const target = targetOn(listener.addr.port);
  const { error, attempts } = await probe(target, ["127.0.0.1"], { signal });
  assertMatch(error!.message, /^Cannot connect to .*: too late: a black hole/);
  assertEquals(attempts, [{ hostname: "127.0.0.1", outcome: "untried" }]);
});

Deno.test("probe() tells the name as the step when the system cannot resolve it", async () => {
  using deadline = new Deadline(30_000);
  const dnsError = new Deno.errors.NotFound("no records found");
  // No label is so long (RFC 1035 2.3.4): no name server is asked.
  const hostname = `${"a".repeat(64)}.test`;
  const target = { ...targetOn(80), hostname };
  const { signal } = deadline;
  const { error } = await probe(target, [hostname], {
    ...{ signal, dnsError },
  });
  assertEquals(error?.step, "resolve");
  assertMatch(error!.message, /^Cannot resolve a{64}\.test: there is no such/);
});

const names = (list: string) =>
  `invalid peer certificate: certificate not valid for name "a.test"; certificate is only valid for ${list}`;

for (
  const [message, expected] of [
    [names('DnsName("b.test")'), "its certificate is for another name: b.test"],
    [
      names('DnsName("b.test") or IpAddress(127.0.0.1)'),
      "its certificate is for another name: b.test, 127.0.0.1",
    ],
    [
      names("abcde".split("").map((c) => `DnsName("${c}.test")`).join(" or ")),
      "its certificate is for another name: a.test, b.test, c.test, and 2 more",
    ],
    [
      'certificate not valid for name "a.test"',
      "its certificate is for another name",
    ],
  ]
) {
  Deno.test(`meaningOf() says "${expected}" when a certificate is for others`, () => {
    const error = new Deno.errors.InvalidData(message);
    assertEquals(meaningOf("tls", error), expected);
  });
}
