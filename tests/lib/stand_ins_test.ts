/** The stand-ins for @std: the forms that are used here, such that the published packages pass as well. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  AssertionError,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { format } from "@std/fmt/bytes";
import { Running } from "../support/helpers.ts";

const TABLE = {
  string: ["once", "mode", "maxFrame", "text", "_"],
  collect: ["once", "maxFrame", "text"],
};
const NONE = {
  once: [],
  maxFrame: [],
  text: [],
  _: [],
};

/** Arguments in the order that lib/command/options.ts puts them in, and what they say. */
const ARGUMENTS: [string[], Record<string, unknown>][] = [
  [[], {}],
  [["--"], {}],
  [["--once="], { once: [""] }],
  [["--once", "--"], { once: [""] }],
  [["--once=", "true"], { once: [""], _: ["true"] }],
  [["--once=", "--once="], { once: ["", ""] }],
  [["--other", "--"], { other: true }],
  [["--mode=chat"], { mode: "chat" }],
  [["--mode=chat", "--mode=echo"], { mode: "echo" }],
  [["--maxFrame=64k", "one"], { maxFrame: ["64k"], _: ["one"] }],
  [["--text=b", "--text=a", "--"], { text: ["b", "a"] }],
  [["one", "--text=", "-", ""], { text: [""], _: ["one", "-", ""] }],
  [["--text=", "--"], { text: [""] }],
  [["--text=a=b", "--text==", "--"], { text: ["a=b", "="] }],
  [["--text=-v", "--text=--", "--"], { text: ["-v", "--"] }],
  [["--text=one\ntwo", "--text=\n", "--"], { text: ["one\ntwo", "\n"] }],
  [["--text=007", "--text=1e3", "--"], { text: ["007", "1e3"] }],
  [["--text=true", "--text=false", "--"], { text: ["true", "false"] }],
  [["--", "one", "80", "", "-"], { _: ["one", "80", "", "-"] }],
  [["--", "-v", "--text=a", "--"], { _: ["-v", "--text=a", "--"] }],
  [["word", "80"], { _: ["word", "80"] }],
];

for (const [args, given] of ARGUMENTS) {
  Deno.test(`parseArgs() reads ${JSON.stringify(args)}`, () => {
    assertEquals(
      { ...parseArgs(args, TABLE) } as unknown,
      { ...NONE, ...given } as unknown,
    );
  });
}

const SIZES: [number, string][] = [
  [0, "0 B"],
  [1, "1 B"],
  [999, "999 B"],
  [1000, "1 kB"],
  [1337, "1.34 kB"],
  [12_345, "12.3 kB"],
  [123_456, "123 kB"],
  [1_000_000, "1 MB"],
  [2_500_000_000, "2.5 GB"],
  [1e12, "1 TB"],
  [1e15, "1 PB"],
  // Numbers of bytes a second are seldom whole.
  [0.25, "0.25 B"],
  [0.123456, "0.123456 B"],
  [1.5, "1.5 B"],
  [1234.5678, "1.23 kB"],
  [999_999, "1000 kB"],
];

for (const [bytes, text] of SIZES) {
  Deno.test(`format() writes ${bytes} bytes as ${text}`, () => {
    assertEquals(format(bytes), text);
  });
}

for (const noColor of [undefined, "", "1"]) {
  Deno.test(`colors with NO_COLOR ${JSON.stringify(noColor)}`, async () => {
    // What is resolved here is what is tested, whoever's it is.
    const url = import.meta.resolve("@std/fmt/colors");
    const code = `
      import { bold, cyan, dim, red } from "${url}";
      console.log(JSON.stringify([bold, cyan, dim, red].map((it) => it("a"))));`;
    await using running = new Running("env", [
      ...(noColor === undefined ? ["-u", "NO_COLOR"] : [`NO_COLOR=${noColor}`]),
      Deno.execPath(),
      ...["run", "--quiet", "--no-prompt", "-"],
    ], { input: code });
    const { stdout, stderr } = await running.ended();
    assertEquals(stderr, "");
    assertEquals(
      JSON.parse(stdout),
      noColor ? ["a", "a", "a", "a"] : [
        "\x1b[1ma\x1b[22m",
        "\x1b[36ma\x1b[39m",
        "\x1b[2ma\x1b[22m",
        "\x1b[31ma\x1b[39m",
      ],
    );
  });
}

function fail(error: unknown): () => never {
  return () => {
    throw error;
  };
}

const { ConnectionRefused, NotFound } = Deno.errors;
const object = { a: 1 };

/** What holds. */
const PASSING: [string, () => unknown][] = [
  ["assert(true)", () => assert(true)],
  ["assert(text)", () => assert("text", "message")],
  ["assertEquals(numbers)", () => assertEquals(1, 1)],
  ["assertEquals(NaN)", () => assertEquals(NaN, NaN)],
  ["assertEquals(undefined)", () => assertEquals(undefined, undefined)],
  ["assertEquals(lists)", () => assertEquals([1, [2]], [1, [2]])],
  [
    "assertEquals(objects)",
    () => assertEquals({ a: { b: 1 } }, { a: { b: 1 } }),
  ],
  [
    "assertEquals(bytes)",
    () => assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 2])),
  ],
  [
    "assertEquals(a view)",
    () => assertEquals(new Uint8Array([0, 1]).subarray(1), new Uint8Array([1])),
  ],
  ["assertStrictEquals(same)", () => assertStrictEquals(object, object)],
  ["assertStrictEquals(NaN)", () => assertStrictEquals(NaN, NaN)],
  ["assertInstanceOf()", () => assertInstanceOf(new RangeError(), Error)],
  ["assertStringIncludes()", () => assertStringIncludes("abc", "b")],
  ["assertMatch()", () => assertMatch("abc", /^a.c$/)],
  ["assertThrows()", () => assertThrows(fail(new Error("a")))],
  [
    "assertThrows(class, words)",
    () => assertThrows(fail(new RangeError("too long")), RangeError, "long"),
  ],
  [
    "assertThrows(base class)",
    () => assertThrows(fail(new RangeError("too long")), Error),
  ],
  [
    "assertRejects()",
    () => assertRejects(() => Promise.reject(new Error("a"))),
  ],
  [
    "assertRejects(class, words)",
    () =>
      assertRejects(
        () => Promise.reject(new ConnectionRefused("nobody")),
        ConnectionRefused,
        "nobody",
      ),
  ],
];

/** What does not hold. */
const FAILING: [string, () => unknown][] = [
  ["assert(0)", () => assert(0)],
  ["assert(undefined)", () => assert(undefined, "message")],
  ["assertEquals(numbers)", () => assertEquals(1, 2)],
  ["assertEquals(types)", () => assertEquals<unknown>(1, "1")],
  ["assertEquals(lists)", () => assertEquals([1, 2], [2, 1])],
  ["assertEquals(lengths)", () => assertEquals([1], [1, 1])],
  [
    "assertEquals(objects)",
    () => assertEquals<unknown>({ a: 1 }, { a: 1, b: 2 }),
  ],
  ["assertEquals(null)", () => assertEquals<unknown>(null, undefined)],
  [
    "assertEquals(bytes)",
    () => assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 3])),
  ],
  [
    "assertEquals(bytes and list)",
    () => assertEquals<unknown>(new Uint8Array([1]), [1]),
  ],
  ["assertEquals(message)", () => assertEquals(1, 2, "message")],
  ["assertStrictEquals(alike)", () => assertStrictEquals(object, { a: 1 })],
  ["assertInstanceOf()", () => assertInstanceOf(new Error(), RangeError)],
  ["assertInstanceOf(text)", () => assertInstanceOf("text", Error, "message")],
  ["assertStringIncludes()", () => assertStringIncludes("abc", "d")],
  ["assertMatch()", () => assertMatch("abc", /^b/)],
  ["assertThrows(nothing)", () => assertThrows(() => 1)],
  [
    "assertThrows(other class)",
    () => assertThrows(fail(new Error("a")), RangeError),
  ],
  [
    "assertThrows(other words)",
    () => assertThrows(fail(new Error("a")), Error, "b"),
  ],
  ["assertThrows(no error)", () => assertThrows(fail("text"), Error)],
  ["assertRejects(nothing)", () => assertRejects(() => Promise.resolve(1))],
  [
    "assertRejects(other class)",
    () => assertRejects(() => Promise.reject(new Error("a")), NotFound),
  ],
  [
    "assertRejects(other words)",
    () => assertRejects(() => Promise.reject(new Error("a")), Error, "b"),
  ],
];

for (const [name, check] of PASSING) {
  Deno.test(`${name} passes where it should`, async () => {
    await check();
  });
}

for (const [name, check] of FAILING) {
  Deno.test(`${name} fails where it should`, async () => {
    let thrown: unknown;
    try {
      await check();
    } catch (error) {
      thrown = error;
    }
    // By hand: what is tested here cannot be relied on yet.
    if (!(thrown instanceof AssertionError)) {
      throw new Error(`It should have thrown, but: ${thrown}`);
    }
  });
}

Deno.test("assertThrows() and assertRejects() give the error itself", async () => {
  const error = new NotFound("a");
  assertStrictEquals(assertThrows(fail(error), NotFound), error);
  assertStrictEquals(await assertRejects(() => Promise.reject(error)), error);
});

Deno.test("a failed assertion says what it was told to say", () => {
  const said: (() => unknown)[] = [
    () => assert(false, "as told"),
    () => assertEquals(1, 2, "as told"),
    () => assertStrictEquals(1, 2, "as told"),
    () => assertInstanceOf(1, Error, "as told"),
    () => assertStringIncludes("a", "b", "as told"),
    () => assertMatch("a", /b/, "as told"),
  ];
  for (const check of said) assertThrows(check, AssertionError, "as told");
});
