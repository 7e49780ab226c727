/** The rules of the house, which its text shows: names, floors, sizes. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** All modules by their path, as in `lib/text.ts`. */
function read(folder: string): Map<string, string> {
  const texts = new Map<string, string>();
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    const path = `${folder}/${name}`;
    if (isDirectory) { for (const entry of read(path)) texts.set(...entry); }
    else if (name.endsWith(".ts")) {
      texts.set(path, Deno.readTextFileSync(new URL(path, ROOT)));
    }
  }
  return texts;
}

const SCRIPTS = read("scripts");
const LIB = read("lib");
for (const path of read("lib/std/assert").keys()) LIB.delete(path); // for tests
const OWN = new Map([...LIB].filter(([path]) => !path.startsWith("lib/std/")));
const HOUSE = new Map([...OWN, ...SCRIPTS]);

/** The modules of ours that these patterns find in a module. */
function found(path: string, text: string, ...patterns: RegExp[]): string[] {
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)])
    .map(([, from]) =>
      from.startsWith("@std/")
        ? `lib/${from.slice(1).replaceAll("-", "_")}.ts`
        : new URL(from, `file:///${path}`).pathname.slice(1)
    );
}

/** Static imports of values, by which floors are counted. */
const VALUES = /^(?:import|export)(?! type)\b[^;"]*?"((?:\.|@std\/)[^"]+)"/gm;
const TYPES = /^(?:import|export) type\b[^;"]*?"((?:\.|@std\/)[^"]+)"/gm;
const LATER = /\bimport\(\s*"(\.[^"]+)"/g;

const uses = new Map(
  [...HOUSE].map((
    [path, text],
  ) => [path, found(path, text, VALUES).filter((one) => OWN.has(one))]),
);

const ON_REQUEST = /^( *)\/\/ On request:.*\n(?:\1.*\S.*\n)*/gm;

/** What a copy of this module holds, except for what is loaded on request. */
function loadedBy(path: string, loaded = new Set<string>()): Set<string> {
  if (loaded.has(path)) return loaded;
  loaded.add(path);
  const text = (LIB.get(path) ?? SCRIPTS.get(path)!).replace(ON_REQUEST, "");
  for (const one of found(path, text, VALUES, TYPES, LATER)) {
    if (LIB.has(one)) loadedBy(one, loaded);
  }
  return loaded;
}

const DECLARED =
  /^(?:export )?(?:async |abstract |declare )*(?:function\*?|class|interface|type|enum|const|let|var) (?:(\w+)|\{([^}]*)\} =)/gm;

/** What a module declares, each name once. */
function declaredIn(text: string): string[] {
  const names = [...text.matchAll(DECLARED)].flatMap(([, name, several]) =>
    name ?? several.match(/\w+(?=\s*[,=}]|\s*$)/g) ?? []
  );
  return [...new Set(names)];
}

/** The names that several of these modules declare. */
function clashes(modules: Iterable<[string, string]>): string[] {
  const places = new Map<string, string[]>();
  for (const [path, text] of modules) {
    for (const name of declaredIn(text)) {
      places.set(name, [...places.get(name) ?? [], path]);
    }
  }
  return [...places].filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${name} in ${paths.join(" and ")}`);
}

Deno.test("a top-level name exists once in lib", () => {
  assertEquals(clashes(LIB), []);
});

Deno.test("a script declares no name that lib has, of what it loads", () => {
  const broken = [...SCRIPTS].flatMap(([path, text]) => {
    const loaded = [...LIB].filter(([one]) => loadedBy(path).has(one));
    const before = new Set(clashes(loaded));
    return clashes([[path, text], ...loaded])
      .filter((clash) => !before.has(clash));
  });
  assertEquals(broken, []);
});

Deno.test("a top-level name hides no global", () => {
  const broken = [...LIB, ...SCRIPTS].flatMap(([path, text]) =>
    declaredIn(text).filter((name) => name in globalThis)
      .map((name) => `${name} in ${path}`)
  );
  assertEquals(broken, []);
});

Deno.test("modules import each other's names, and as they are", () => {
  // Neither a namespace, nor all, nor a default, nor under another name.
  const other =
    /^(?:import|export) (?:type )?(?:\*|\w+(?:,| from)|\{[^}]*\bas\b)[^;]* from "(?:[.]|@std|node:)[^"]*";/gm;
  const broken = [...HOUSE].flatMap(([path, text]) =>
    [...text.matchAll(other)].map(([line]) => `${path}: ${line}`)
  );
  assertEquals(broken, []);
});

/** How many floors a module stands on; the way there, to tell of a circle. */
function floorOf(path: string, way: string[] = []): string[] {
  if (way.includes(path)) throw new Error(`a circle: ${[...way, path]}`);
  const below = (uses.get(path) ?? [])
    .map((used) => floorOf(used, [...way, path]))
    .sort((a, b) => b.length - a.length);
  return [path, ...below[0] ?? []];
}

Deno.test("imports run one way, in at most five floors", () => {
  const tooHigh = [...HOUSE.keys()].map((path) => floorOf(path))
    .filter(({ length }) => length > 5).map((way) => way.join(" > "));
  assertEquals(tooHigh, []);
});

/** Rooms by floor: a module or its folder, `lib/tcp.ts` and `lib/tcp/`. */
const ROOMS = [
  ["address", "text", "framing", "stats", "std", "eject"],
  ["tcp", "explain"],
  ["udp", "command", "probe"],
  ["modes"],
  ["scripts"],
];

function roomOf(path: string): number {
  const [, folder, name] = /^(\w+)\/(\w+)/.exec(path)!;
  return ROOMS.findIndex((rooms) =>
    rooms.includes(folder === "lib" ? name : folder)
  );
}

Deno.test("a room imports from no room above it", () => {
  assertEquals([...OWN.keys()].filter((path) => roomOf(path) === -1), []);
  const broken = [...uses].flatMap(([path, used]) =>
    used.filter((one) => roomOf(one) > roomOf(path))
      .map((one) => `${path} imports ${one}`)
  );
  assertEquals(broken, []);
});

Deno.test("modes know of command only output and prompt", () => {
  const broken = [...HOUSE].filter(([path]) => path.startsWith("lib/modes/"))
    .flatMap(([path, text]) =>
      found(path, text, VALUES, TYPES, LATER)
        .filter((one) => /^lib\/command\/(?!(output|prompt)\.ts)/.test(one))
        .map((one) => `${path} imports ${one}`)
    );
  assertEquals(broken, []);
});

Deno.test("lib imports nothing from scripts and tests", () => {
  const broken = [...LIB].flatMap(([path, text]) =>
    found(path, text, VALUES, TYPES, LATER)
      .filter((one) => !one.startsWith("lib/") && !one.endsWith(".json"))
      .map((one) => `${path} imports ${one}`)
  );
  assertEquals(broken, []);
});

Deno.test("tests of whole processes import nothing from lib", () => {
  const broken = ["scripts", "peers", "faults", "support"]
    .flatMap((name) => [...read(`tests/${name}`)])
    .flatMap(([path, text]) =>
      found(path, text, VALUES, TYPES, LATER)
        .filter((one) => /^lib\/(?!std\/)/.test(one))
        .map((one) => `${path} imports ${one}`)
    );
  assertEquals(broken, []);
});

Deno.test("the house is no larger than one can keep in mind", () => {
  const lines = (text: string) => text.split("\n").length - 1;
  const all = [...HOUSE.values()].map(lines).reduce((a, b) => a + b);
  assert(all <= 6000, `${all} lines in lib and scripts`);
  assert(OWN.size <= 40, `${OWN.size} modules in lib`);
  const loaded = new Set(["scripts/tcp_client.ts"]);
  for (const path of loaded) {
    const text = LIB.get(path) ?? SCRIPTS.get(path);
    assert(text !== undefined, `there is no ${path}`);
    for (const one of found(path, text, VALUES)) loaded.add(one);
  }
  assert(loaded.size <= 20, `tcp_client loads ${[...loaded].join(" ")}`);
  const long = [...SCRIPTS].filter(([, text]) => lines(text) > 180)
    .map(([path, text]) => `${path} has ${lines(text)} lines`);
  assertEquals(long, []);
});
