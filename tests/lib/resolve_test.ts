import { assert, assertEquals, assertRejects } from "@std/assert";
import { startDnsServer } from "../support/dns_server.ts";
import { isLookupError, resolve, whyUnresolved } from "../../lib/resolve.ts";

const NAME = "www.example.test";

Deno.test("resolve() asks nobody when the name is an address", async () => {
  await using server = startDnsServer({});
  const { nameServer } = server;
  for (const address of ["127.0.0.1", "::1", "fe80::1%lo"]) {
    assertEquals(await resolve(address, { nameServer }), [address]);
  }
  assertEquals(server.questions, []);
});

Deno.test("resolve() gives IPv6 and IPv4 by turns when there are both", async () => {
  const A = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.2"];
  const AAAA = ["2001:db8::1", "2001:db8::2"];
  await using server = startDnsServer({ [NAME]: { A, AAAA } });
  const { nameServer, questions } = server;
  assertEquals(
    await resolve(NAME, { nameServer }),
    ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"],
  );
  assertEquals(questions.toSorted(), [`A ${NAME}`, `AAAA ${NAME}`]);
});

for (
  const [type, address] of [
    ["A", "192.0.2.1"],
    ["AAAA", "2001:db8::1"],
  ]
) {
  Deno.test(`resolve() gives what there is when there is only ${type}`, async () => {
    await using server = startDnsServer({ [NAME]: { [type]: [address] } });
    const { nameServer } = server;
    assertEquals(await resolve(NAME, { nameServer }), [address]);
  });
}

Deno.test("resolve() follows a name to another when it is an alias", async () => {
  await using server = startDnsServer({
    [NAME]: { CNAME: "real.test" },
    "real.test": { A: ["192.0.2.1"] },
  });
  const { nameServer } = server;
  assertEquals(await resolve(NAME, { nameServer }), ["192.0.2.1"]);
});

Deno.test("resolve() gives IPv4 when the question for IPv6 is never answered", async () => {
  await using server = startDnsServer({
    [NAME]: { A: ["192.0.2.1"], silentFor: ["AAAA"] },
  });
  const { nameServer } = server;
  const start = performance.now();
  const addresses = await resolve(NAME, { nameServer, timeout: 200 });
  assertEquals(addresses, ["192.0.2.1"]);
  assert(performance.now() - start >= 190);
});

for (
  const [problem, zone] of [
    ["the name does not exist", {}],
    ["the name has no address", { [NAME]: {} }],
    ["the name server fails", { [NAME]: { errorCode: 2 } }],
    ["the name server refuses", { [NAME]: { errorCode: 5 } }],
  ] as const
) {
  Deno.test(`resolve() rejects with NotFound when ${problem}`, async () => {
    await using server = startDnsServer(zone);
    const { nameServer } = server;
    await assertRejects(
      () => resolve(NAME, { nameServer }),
      Deno.errors.NotFound,
    );
  });
}

for (const silentFor of [["A", "AAAA"], ["AAAA"]] as ("A" | "AAAA")[][]) {
  Deno.test(`resolve() rejects with TimedOut when nothing comes for ${silentFor}`, async () => {
    await using server = startDnsServer({ [NAME]: { silentFor } });
    const { nameServer } = server;
    await assertRejects(
      () => resolve(NAME, { nameServer, timeout: 100 }),
      Deno.errors.TimedOut,
      "nothing came back within 0.1s",
    );
  });
}

Deno.test("resolve() rejects with NotSupported when Deno takes no such name", async () => {
  await using server = startDnsServer({});
  const { nameServer, questions } = server;
  for (const name of ["a_b.test", `${"a".repeat(64)}.test`]) {
    await assertRejects(
      () => resolve(name, { nameServer }),
      Deno.errors.NotSupported,
    );
  }
  assertEquals(questions, []);
});

Deno.test("resolve() rejects with the signal's reason when it is aborted", async () => {
  await using server = startDnsServer({
    [NAME]: { silentFor: ["A", "AAAA"] },
  });
  const { nameServer } = server;
  const stop = new AbortController();
  const resolving = resolve(NAME, { nameServer, signal: stop.signal });
  stop.abort(new Error("enough"));
  await assertRejects(() => resolving, Error, "enough");
  await assertRejects(
    () => resolve(NAME, { nameServer, signal: stop.signal }),
    Error,
    "enough",
  );
});

Deno.test("isLookupError() knows the words of each system when a name is unknown", () => {
  for (
    const words of [
      "failed to lookup address information: Name or service not known",
      "failed to lookup address information: nodename nor servname provided, or not known",
      "No such host is known. (os error 11001)",
    ]
  ) assert(isLookupError(new Error(words)), words);
  assert(!isLookupError(new Error("Connection refused (os error 111)")));
  assert(!isLookupError("failed to lookup address"));
});

const UNKNOWN = "failed to lookup address information: Name not known";
const TEMPORARY =
  "failed to lookup address information: Temporary failure in name resolution";
const { NotCapable, NotFound, NotSupported, TimedOut } = Deno.errors;

for (
  const [dns, system, expected] of [
    [new NotFound(), UNKNOWN, "there is no such name"],
    [new NotFound(), TEMPORARY, "the name server answers, but with an error"],
    [new NotCapable(), UNKNOWN, "there is no such name"],
    [new NotSupported(), UNKNOWN, "there is no such name"],
    [new NotCapable(), TEMPORARY, "no name server answers"],
    [new TimedOut(), TEMPORARY, "no name server answers"],
    [new TimedOut(), UNKNOWN, "no name server answers"],
    [new Error("Network is unreachable"), TEMPORARY, "no name server answers"],
  ] as const
) {
  Deno.test(`whyUnresolved() says ${expected} when DNS says ${dns.name} and the system ${system.slice(40)}`, () => {
    const reason = whyUnresolved(dns, new Error(system));
    assert(reason.startsWith(expected), reason);
  });
}
