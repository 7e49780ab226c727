/** Echoes answer people, and not one another. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { echoGuard } from "../../lib/udp/echo_guard.ts";
import { bytes } from "../support/helpers.ts";

const PEER: Deno.NetAddr = {
  transport: "udp",
  hostname: "10.0.0.1",
  port: 5000,
};
const OWN: Deno.NetAddr = {
  transport: "udp",
  hostname: "10.0.0.2",
  port: 8080,
};

for (const port of [7, 13, 17, 19]) {
  Deno.test(`echoGuard() objects to port ${port}`, () => {
    const objection = echoGuard(OWN)(bytes("x"), {
      ...PEER,
      port,
    });
    assertStringIncludes(objection!, `port ${port}`);
  });
}

const OWN_ADDRESSES: [string, string][] = [
  ["10.0.0.2", "10.0.0.2"],
  ["0.0.0.0", "127.0.0.1"],
  ["::", "::1"],
  ["::", "::ffff:127.0.0.1"],
];
for (const [bound, hostname] of OWN_ADDRESSES) {
  Deno.test(`echoGuard() objects to itself at ${hostname}, bound to ${bound}`, () => {
    const guard = echoGuard({ ...OWN, hostname: bound });
    const self = { ...OWN, hostname };
    assertEquals(guard(bytes("x"), self), "it is its own address");
    // Another port is somebody else.
    assertEquals(guard(bytes("x"), { ...self, port: 9 }), undefined);
  });
}

Deno.test("echoGuard() lets pass a peer with the same port elsewhere", () => {
  const guard = echoGuard({ ...OWN, hostname: "0.0.0.0" });
  assertEquals(guard(bytes("x"), { ...PEER, port: 8080 }), undefined);
});

Deno.test("echoGuard() objects to one of 33 equal datagrams", () => {
  const guard = echoGuard(OWN);
  const answered = Array.from(
    { length: 99 },
    () => guard(bytes("ping"), PEER) === undefined,
  );
  const refused = answered.flatMap((answer, i) => answer ? [] : [i]);
  assertEquals(refused, [32, 65, 98]);
});

Deno.test("echoGuard() lets pass a peer that does not repeat itself", () => {
  const guard = echoGuard(OWN);
  for (let i = 0; i < 20_000; i++) {
    assertEquals(guard(bytes(`ping ${i}`), PEER), undefined);
  }
});

/** Lets datagrams bounce between an echo and a peer; gives how many came. */
function bounce(
  balls: Uint8Array[],
  other?: ReturnType<typeof echoGuard>,
): number {
  const guard = echoGuard(OWN);
  let came = 0;
  while (balls.length > 0) {
    assert(came < 1_000_000, "it never ends");
    came += balls.length;
    balls = balls.filter((ball) =>
      guard(ball, PEER) === undefined &&
      other?.(ball, OWN) === undefined
    );
  }
  return came;
}

Deno.test("echoGuard() ends a loop with another", () => {
  assertEquals(bounce([bytes("ping")], echoGuard(PEER)), 33);
});

Deno.test("echoGuard() ends a loop with an echo that has no guard", () => {
  assertEquals(bounce([bytes("ping")]), 33);
});

Deno.test("echoGuard() ends a loop of equal datagrams", () => {
  assertEquals(bounce(Array(50).fill(bytes("ping"))), 50 * 33);
});

Deno.test("echoGuard() ends a loop of as many datagrams as buffers may hold", () => {
  const balls = Array.from({ length: 2000 }, (_, i) => bytes(`${i}`));
  assertEquals(bounce(balls), 2000 * 33);
});
