/** Reasons: what real socket calls throw, and what they are said to mean. */
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { readText } from "../../lib/tcp/connect.ts";
import { describeError, isGonePeer, reasonFor } from "../../lib/tcp/errors.ts";
import { closedPort, Running } from "../support/helpers.ts";
import { needs } from "../support/system.ts";

const HOST = "127.0.0.1";
const UNRESOLVED = "the name does not resolve to an address";
const windows = Deno.build.os === "windows";

/** What is done, what it throws, why; as it happens on the system at hand. */
const REAL: [string, () => unknown, abstract new () => Error, string][] = [
  [
    "connecting where nobody listens",
    () => Deno.connect({ hostname: HOST, port: closedPort() }),
    Deno.errors.ConnectionRefused,
    "nobody listens there (connection refused)",
  ],
  [
    "listening where another does",
    () => {
      using listener = Deno.listen({ hostname: HOST, port: 0 });
      Deno.listen({ hostname: HOST, port: listener.addr.port });
    },
    Deno.errors.AddrInUse,
    "another program uses it; stop that one, or take another address",
  ],
  [
    "listening on an address of another machine",
    () => Deno.listen({ hostname: "192.0.2.1", port: 0 }),
    Deno.errors.AddrNotAvailable,
    "this machine has no such address; 127.0.0.1 and 0.0.0.0 always work",
  ],
  [
    // A label has 63 characters at most, so no name server is asked.
    "connecting to a name that cannot be",
    () => Deno.connect({ hostname: `${"a".repeat(64)}.test`, port: 1 }),
    Error,
    UNRESOLVED,
  ],
  [
    "reading a file that is not there",
    () => Deno.readTextFile("/tmp/resolve/nothing.pem"),
    Deno.errors.NotFound,
    "there is no such file",
  ],
];

for (const [what, call, type, reason] of REAL) {
  Deno.test(`reasonFor() says why ${what} fails`, async () => {
    const error = await assertRejects(async () => await call(), type);
    assertEquals(reasonFor(error), reason);
  });
}

Deno.test({
  name: "reasonFor() says why connecting to a missing unix socket fails",
  ...needs("unixSockets"),
  async fn() {
    const path = "/tmp/resolve/none";
    const error = await assertRejects(() =>
      Deno.connect({ transport: "unix", path })
    );
    assertEquals(reasonFor(error), "there is no such file");
  },
});

function coded(code: string): Error {
  return Object.assign(new Error("os error"), { code });
}

const { errors } = Deno;

/** What was thrown, and why. */
const REASONS: [unknown, string][] = [
  [coded("EHOSTUNREACH"), "no route leads there (host unreachable)"],
  [coded("ENETUNREACH"), "no route leads there (network unreachable)"],
  [coded("EMFILE"), "there are no file descriptors left; raise `ulimit -n`"],
  [coded("ENOSPC"), "there is no space left on the device"],
  [coded("EWHATEVER"), "os error"],
  [coded("EISDIR"), "standard input is a directory"],
  [new errors.ConnectionReset("104"), "the peer cut the connection (reset)"],
  [new errors.ConnectionAborted("103"), "the connection was aborted"],
  [new errors.NotConnected("107"), "the peer was gone at once"],
  [new errors.BrokenPipe("32"), "the peer has closed the connection"],
  [new errors.PermissionDenied("13"), "the system does not permit it"],
  [new errors.TimedOut("no answer within 2s"), "no answer within 2s"],
  [new Error("failed to lookup address information"), UNRESOLVED],
  [new Error("nodename nor servname provided"), UNRESOLVED], // macOS
  [
    new Error(
      "lookup address information: Temporary failure in name resolution",
    ),
    UNRESOLVED,
  ],
  // Windows says it in its own language.
  [
    new Error("Der angegebene Host ist unbekannt. (os error 11001)"),
    UNRESOLVED,
  ],
  [new Error("Intentez plus tard. (os error 11002)"), UNRESOLVED],
  [new Error("… (os error 11003)"), UNRESOLVED],
  [new Error("… (os error 11004)"), UNRESOLVED],
  [
    new errors.ConnectionRefused("to resolver"),
    "nobody listens there (connection refused)",
  ],
  [
    new RangeError("port 0 is only for listening"),
    "port 0 is only for listening",
  ],
  [new DOMException("Signal timed out", "TimeoutError"), "Signal timed out"],
  ["a text", "a text"],
  [undefined, "undefined"],
];

/** What was tried, what was thrown, and why, where the attempt decides. */
const ATTEMPTS: [string, Error, string][] = [
  [
    "listen on :80",
    new errors.PermissionDenied("13"),
    windows
      ? "Windows keeps that port; take another"
      : "the system does not permit it; ports below 1024 may need more rights",
  ],
  [
    "listen on unix:/a",
    new errors.PermissionDenied("13"),
    "the system does not permit it",
  ],
  [
    "read a.pem",
    new errors.PermissionDenied("13"),
    "the system does not permit it",
  ],
  [
    "listen on a:1",
    new errors.AddrNotAvailable("99"),
    "this machine has no such address; 127.0.0.1 and 0.0.0.0 always work",
  ],
  [
    "connect to 0.0.0.0:1",
    new errors.AddrNotAvailable("10049"),
    "no address of this machine leads there, or its ports are used up; 0.0.0.0 and [::] are only for listening",
  ],
  ["listen on unix:/a", new errors.NotFound("2"), "there is no such folder"],
  ["connect to unix:/a", new errors.NotFound("2"), "there is no such file"],
  [
    "listen on unix:/a",
    new errors.AddrInUse("98"),
    "the file is there: another server's, or left behind by one that was killed; then remove it",
  ],
  ["read a.pem", coded("EPERM"), "os error"],
  ["read a.pem", new errors.IsADirectory("21"), "it is a directory"],
  [
    "connect to unix:/a",
    Object.assign(new TypeError("path must be shorter than SUN_LEN"), {
      code: "EINVAL",
    }),
    "the path of a unix socket has 107 bytes at most, some have 103",
  ],
  [
    "listen on tls://:1",
    new errors.InvalidData("invalid peer certificate: BadEncoding"),
    "the certificate in the --cert file is damaged",
  ],
  [
    "connect to tls://:1",
    new errors.InvalidData("invalid peer certificate: BadEncoding"),
    "its certificate, or the one in the --ca file, is damaged",
  ],
  [
    "listen on unix:/a",
    new errors.NotSupported(
      'Operation `"op_net_listen_unix"` not supported on non-unix platforms.',
    ),
    "Deno has no unix sockets on Windows",
  ],
];

for (const [attempt, error, reason] of ATTEMPTS) {
  Deno.test(`describeError() says why ${attempt} fails when it is ${error.name} ${error.message}`, () => {
    const { message } = describeError(error, attempt, "");
    assertEquals(message, `Cannot ${attempt}: ${reason}`);
  });
}

for (
  const [error, gone] of [
    [new errors.NotConnected("107"), true],
    [new errors.ConnectionReset("10054"), true],
    [new errors.ConnectionAborted("10053"), true],
    [Object.assign(new TypeError("os error 22"), { code: "EINVAL" }), true],
    [coded("EPROTOTYPE"), true],
    [new Error("Protocol wrong type for socket (os error 41)"), true],
    [new Error("os error 4100"), false],
    [coded("EMFILE"), false],
    [new errors.BrokenPipe("32"), false],
    ["EINVAL is a word", false],
    [undefined, false],
  ] as [unknown, boolean][]
) {
  Deno.test(`isGonePeer() is ${gone} when it is ${describe(error)}`, () => {
    assertEquals(isGonePeer(error), gone);
  });
}

function describe(error: unknown): string {
  const { code = "" } = error instanceof Error
    ? error as { code?: string }
    : {};
  return `${error} ${code}`;
}

/** What rustls says, and what it means. */
const TLS: [string, string][] = [
  ["invalid peer certificate: Expired", "its certificate has expired"],
  [
    "invalid peer certificate: NotValidYet",
    "its certificate is not valid yet; is this clock right?",
  ],
  [
    "invalid peer certificate: UnknownIssuer",
    "its certificate is signed by nobody that is trusted here; name the signer's certificate with --ca FILE",
  ],
  [
    'invalid peer certificate: certificate not valid for name "a"',
    "its certificate is for another name; --server-name NAME expects the one it has",
  ],
  [
    "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
    "its certificate is a CA's, which no server may use; make one with basicConstraints=CA:FALSE",
  ],
  [
    "received corrupt message of type InvalidContentType",
    "the peer does not speak TLS",
  ],
  [
    "received fatal alert: UnknownCA",
    "the peer did not accept the certificate",
  ],
  [
    "received fatal alert: BadCertificate",
    "the peer did not accept the certificate",
  ],
  [
    "Unable to add pem file to certificate store: InvalidByte(64, 33)",
    "the certificate in the --ca file is damaged",
  ],
  [
    "Unable to decode certificate",
    "the certificate in the --cert file is damaged",
  ],
  [
    "invalid peer certificate: BadSignature",
    "its certificate is not signed by the authority that it names; is --ca the right file?",
  ],
  [
    "unexpected error: failed to parse private key as RSA, ECDSA, or EdDSA",
    "the --key file holds no key for TLS: RSA of 2048 bits and more, ECDSA (P-256, P-384, P-521) or Ed25519",
  ],
  ["something new", "something new"],
];

for (
  const [error, reason] of [
    ...REASONS,
    ...TLS.map(([words, reason]): [unknown, string] => [
      new errors.InvalidData(words),
      reason,
    ]),
  ]
) {
  Deno.test(`reasonFor() knows ${describe(error)}`, () => {
    assertEquals(reasonFor(error), reason);
  });
}

Deno.test("describeError() rewrites the message of the error itself", () => {
  const error = Object.assign(new errors.AddrInUse("98"), {
    code: "EADDRINUSE",
  });
  const explained = describeError(error, "listen on :80", "--allow-net=:80");
  assertStrictEquals(explained, error);
  assertEquals(
    explained.message,
    "Cannot listen on :80: another program uses it; stop that one, or take another address",
  );
  assertEquals(error.code, "EADDRINUSE");
});

Deno.test("describeError() wraps what has no message to rewrite", () => {
  const aborted = AbortSignal.abort().reason;
  for (
    const [thrown, reason] of [[aborted, aborted.message], ["text", "text"]]
  ) {
    const explained = describeError(thrown, "try", "");
    assertInstanceOf(explained, Error);
    assertEquals(explained.message, `Cannot try: ${reason}`);
    assertStrictEquals(explained.cause, thrown);
  }
});

Deno.test("readText() reads a file, or says which one is missing", async () => {
  const text = await readText(import.meta.filename!);
  assertEquals(text.startsWith("/** Reasons"), true);
  const error = await assertRejects(
    () => readText("/tmp/resolve/nothing.pem"),
    errors.NotFound,
  );
  assertEquals(
    error.message,
    "Cannot read /tmp/resolve/nothing.pem: there is no such file",
  );
});

Deno.test("describeError() names the permission that Deno needs", async () => {
  const lib = new URL("../../lib/", import.meta.url);
  const code = `
    const { connect, listen } = await import("${lib}tcp.ts");
    const { readText } = await import("${lib}tcp/connect.ts");
    const address = { transport: "tcp", hostname: "127.0.0.1", port: 2 };
    const attempts = [
      () => connect(address),
      () => listen({ ...address, hostname: "::1" }),
      () => readText("/tmp/ca.pem"),
    ];
    for (const attempt of attempts) {
      try {
        await attempt();
      } catch (error) {
        console.log(error instanceof Deno.errors.NotCapable, error.message);
      }
    }`;
  await using running = new Running(
    Deno.execPath(),
    [
      "run",
      "--quiet",
      "--no-prompt",

      "--allow-net=127.0.0.1:1",
      "-",
    ],
    { input: code },
  );
  const { stdout, stderr } = await running.ended();
  assertEquals(stderr, "");
  assertEquals(stdout.split("\n"), [
    "true Cannot connect to 127.0.0.1:2: Deno was not allowed to; it needs --allow-net=127.0.0.1:2",
    "true Cannot listen on [::1]:2: Deno was not allowed to; it needs --allow-net=[::1]:2",
    "true Cannot read /tmp/ca.pem: Deno was not allowed to; it needs --allow-read=/tmp/ca.pem",
    "",
  ]);
});

Deno.test("reasonFor() names the interface when a link-local address lacks one, or has none of this machine", () => {
  const invalid = Object.assign(new TypeError("Invalid argument"), {
    code: "EINVAL",
  });
  const needed = "its zone is missing: an interface, as in %eth0";
  for (const place of ["[fe80::1]:80", "tls://[fe80::1]:80"]) {
    assertEquals(reasonFor(invalid, `connect to ${place}`), needed);
    assertEquals(reasonFor(invalid, `listen on ${place}`), needed);
  }
  for (const place of ["[fe80::1%eth0]:80", "[2001:db8::1]:80"]) {
    const reason = reasonFor(invalid, `connect to ${place}`);
    assertStringIncludes(reason, "its route leads nowhere");
  }
  const unknown = new Error("failed to lookup address information: Name or");
  assertEquals(
    reasonFor(unknown, "connect to [fe80::1%nono]:80"),
    "this machine has no such network interface for it",
  );
  assertEquals(reasonFor(unknown, "connect to nono:80"), UNRESOLVED);
});
