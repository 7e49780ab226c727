/** A real nats-server between our servers: rooms that span them. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import * as transport from "@nats-io/transport-node";
import config from "../../deno.json" with { type: "json" };
import {
  type Certificate,
  hasOpenssl,
  makeCertificates,
} from "../support/certificates.ts";
import {
  bytes,
  closedPort,
  run,
  type Running,
  start,
  text,
  within,
} from "../support/helpers.ts";
import {
  makeCredentials,
  Member,
  MISSING,
  NatsServer,
} from "../support/nats_server.ts";
import { lines } from "../support/sockets.ts";

const MEMBERS = 50;
const LINES = 20_000;

Deno.test("tcp_server.ts loads the client for NATS only when it is to relay", async () => {
  const folder = await Deno.makeTempDir({ prefix: "relay_" });
  await using _ = {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
  // Nothing is in that cache, and nothing can be fetched.
  const options = {
    permissions: ["--allow-net", "--cached-only"],
    env: { DENO_DIR: folder },
  };
  const args = ["127.0.0.1:0", "-m", "room"];
  await using local = start("tcp_server.ts", args, options);
  await local.port();
  args.push("--relay", "nats://127.0.0.1:1");
  const { code, stderr } = await run("tcp_server.ts", args, options);
  const client = config.imports["@nats-io/transport-node"];
  assertMatch(stderr, /^tcp_server: Cannot load the client for NATS: .*\n$/);
  assertStringIncludes(stderr, `\`deno cache ${client}\` fetches it once`);
  assertEquals(code, 1);
});

/** Lets members into the room of each server, one server after the other. */
async function gather(servers: Running[], count: number): Promise<Member[][]> {
  const rooms: Member[][] = [];
  for (const server of servers) {
    const port = await server.port();
    const members: Member[] = [];
    for (let i = 0; i < count; i++) members.push(await Member.join(port));
    // Whoever was there before has been told of all of them.
    for (const before of rooms.flat()) {
      for (const { name } of members) await before.note(`${name} joined`);
    }
    rooms.push(members);
  }
  return rooms;
}

for (const count of [2, 3]) {
  Deno.test(
    `tcp_server.ts shares its room with ${
      count - 1
    } more when they share a NATS server`,
    {
      ignore: MISSING,
    },
    async () => {
      await using nats = await NatsServer.start();
      await using stack = new AsyncDisposableStack();
      const servers = Array.from(
        { length: count },
        () => stack.use(nats.room()),
      );
      // Each knows all others.
      for (const server of servers) {
        await server.stderr(
          new RegExp("(shared with the server[^]*){" + (count - 1) + "}"),
        );
      }
      const rooms = await gather(servers, MEMBERS);
      const all = rooms.flat();
      for (const member of all) stack.use(member);
      assertEquals(new Set(all.map(({ name }) => name)).size, all.length);
      const last = all.at(-1)!;
      assert(last.notes.includes(`you are ${last.name}, ${all.length} here`));

      const each = Math.floor(LINES / all.length);
      await Promise.all(all.map((member) => member.say(each)));
      const others = all.length - 1;
      for (const member of all) {
        await member.until(() => member.total >= others * each);
      }
      for (const member of all) {
        assertEquals(member.heard.size, others);
        assert(!member.heard.has(member.name), "it heard itself");
        for (const heard of member.heard.values()) assertEquals(heard, each);
        assertEquals(member.notes.filter((note) => /OUT|miss/.test(note)), []);
      }

      // Leaves are told everywhere, those of a server that stops as well.
      const [leaving, ...staying] = rooms;
      servers[0].process.kill("SIGTERM");
      for (const member of leaving) member[Symbol.dispose]();
      assertEquals((await servers[0].ended()).code, 0);
      for (const member of staying.flat()) {
        for (const { name } of leaving) await member.note(`${name} left`);
        assertEquals(member.total, others * each);
      }
    },
  );
}

/** What a server says about itself: how many lines it said before, and more. */
const at = (first: number, more = {}) => ({
  ...{ first, lines: first, bytes: 0, members: 1 },
  ...more,
});

Deno.test(
  "tcp_server.ts lets nobody at NATS speak for somebody else, or with escapes",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    const servers = `127.0.0.1:${nats.port}`;
    const client = await transport.connect({ servers });
    await using _ = { [Symbol.asyncDispose]: () => client.close() };
    const said = client.subscribe("room.*")[Symbol.asyncIterator]();
    await using server = nats.room("nats", ["--max-frame", "100"]);
    using conn = await Deno.connect({ port: await server.port() });
    const heard = lines(conn);
    const line = async () => {
      const { value } = await within(heard.next());
      return value ? text(value) : undefined;
    };
    const welcome = /^\* you are user1(@\w{6}), 1 here$/;
    const [, suffix] = welcome.exec(await line() ?? "")!;
    // It subscribes before it says anything.
    const { value: first } = await within(said.next());
    assertEquals(first!.subject, `room.${suffix.slice(1)}`);

    const say = (id: string, header: unknown, said: string) =>
      client.publish(`room.${id}`, `${JSON.stringify(header)}\n${said}`);
    const never = "<user1@bbbbbb> never\n";
    for (
      const header of [null, 7, "x", {}, at(-1), at(0.5), {
        lines: 1,
        first: 1,
      }]
    ) {
      say("bbbbbb", header, never);
    }
    client.publish("room.bbbbbb", new Uint8Array([0xff, 0, 10]));
    for (const id of ["b", "BBBBBB", "bbbbbbb", "aaaaaa", suffix.slice(1)]) {
      say(id, at(0), `<user1@${id}> never\n`);
    }
    const words = [
      "<user1@bbbbbb> first",
      `<user1${suffix}> never`,
      "<user1> never",
      "<user1@cccccc> never",
      "* you are never",
      "* user1@bbbbbb left, never",
      "<user1@bbbbbb> \x1b[2J\rescape \u202e",
      `<user1@bbbbbb> too long for this room${"!".repeat(100)}`,
      "* user1@bbbbbb left",
    ];
    say("bbbbbb", at(0), words.map((line) => `${line}\n`).join(""));
    say("bbbbbb", at(109), "<user1@bbbbbb> last\n");
    for (
      const expected of [
        "<user1@bbbbbb> first",
        "<user1@bbbbbb> \\x1b[2J\\x0descape \\u202e",
        "* user1@bbbbbb left",
        "* missed 6 lines from @bbbbbb",
        "* missed 100 lines from @bbbbbb",
        "<user1@bbbbbb> last",
      ]
    ) assertEquals(await line(), expected);
  },
);

Deno.test(
  "tcp_server.ts counts the members of other servers, and says when these fall silent",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    const servers = `127.0.0.1:${nats.port}`;
    const client = await transport.connect({ servers });
    await using _ = { [Symbol.asyncDispose]: () => client.close() };
    const said = client.subscribe("room.*")[Symbol.asyncIterator]();
    await using server = nats.room();
    const port = await server.port();
    using ann = await Member.join(port);
    await within(said.next());
    const say = (id: string, header: unknown, said = "") => {
      const message = `${JSON.stringify(header)}\n`;
      client.publish(`room.${id}.beat`, message);
      client.publish(`room.${id}`, message + said);
    };

    // Who is new has missed nothing of what was before.
    say("bbbbbb", at(5, { members: 4 }), "<user1@bbbbbb> 0\n");
    say("cccccc", at(0, { members: 7 }));
    await ann.until(() => ann.total === 1);
    await server.stderr("@cccccc");
    using bob = await Member.join(port);
    assert(bob.notes.some((note) => note.endsWith(", 13 here")));
    say("bbbbbb", at(6, { bye: true, members: 0 }));
    await ann.note("lost 7 members at @cccccc");
    using cyd = await Member.join(port);
    assert(cyd.notes.some((note) => note.endsWith(", 3 here")));
    say("cccccc", at(10, { members: 7 }));
    await ann.note("7 members back at @cccccc");
    await ann.note("missed 10 lines from @cccccc");
    assertEquals(ann.missed, 10);
  },
);

Deno.test(
  "tcp_server.ts goes on, and counts what others miss, when NATS is killed and comes back",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    await using one = nats.room();
    await using two = nats.room();
    const rooms = await gather([one, two], MEMBERS);
    await using stack = new AsyncDisposableStack();
    for (const member of rooms.flat()) stack.use(member);
    const [here, there] = rooms;
    const speakers = here.slice(0, 10).concat(there.slice(0, 10));
    const sayAll = async (count: number) => {
      await Promise.all(speakers.map((member) => member.say(count)));
    };
    const noteAll = async (words: string) => {
      for (const member of rooms.flat()) await member.note(words);
    };

    const before = sayAll(400);
    // In the middle: some of it has been heard elsewhere, some has not.
    await there[49].until(() => there[49].total > 4500);
    await nats.end();
    await noteAll("other servers are out of reach");
    await before;
    await sayAll(400);
    await nats.restart();
    await noteAll("other servers are back");
    await sayAll(200);

    const said = 1000;
    const own = (room: Member[], member: Member) =>
      speakers.filter((speaker) =>
        room.includes(speaker) && speaker !== member
      );
    for (const [room, other] of [[here, there], [there, here]]) {
      for (const member of room) {
        const locals = own(room, member);
        const distant = own(other, member);
        const heard = (of: Member[]) =>
          of.reduce((sum, { name }) => sum + (member.heard.get(name) ?? 0), 0);
        // The number after the last line that it heard: they end together.
        const all = said * (locals.length + distant.length);
        await member.until(() => heard([...locals, ...distant]) === all);
        await member.until(() => member.total + member.missed === all);
        assert(
          member.missed >= 400 * distant.length,
          `${member.missed} missed`,
        );
        assert(member.missed < 1000 * distant.length);
        const notes = member.notes.filter((note) => !/ joined$/.test(note));
        const once = (words: RegExp) =>
          assertEquals(notes.filter((note) => words.test(note)).length, 1);
        once(/out of reach; what is said stays here$/);
        once(/servers are back, \d+ lines stayed here meanwhile$/);
        assert(!notes.some((note) => note.startsWith("OUT")), `${notes}`);
      }
    }
    for (const server of [one, two]) {
      server.process.kill("SIGTERM");
      for (const member of rooms.flat()) member[Symbol.dispose]();
      const { code, stderr } = await server.ended();
      assertEquals(code, 0);
      assertEquals(stderr.match(/NATS is out of reach/g)?.length, 1);
      assertEquals(stderr.match(/NATS is back/g)?.length, 1);
      assertMatch(stderr, /missed \d+ lines from @\w{6}\n/);
    }
  },
);

Deno.test(
  "tcp_server.ts loses nothing when a member of another server reads slowly",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    await using one = nats.room();
    await using two = nats.room();
    using speaker = await Member.join(await one.port());
    using quick = await Member.join(await two.port());
    using slow = await Deno.connect({ port: await two.port() });
    await speaker.note("user2@");
    // Far more than all buffers on the way hold together.
    const line = `${"x".repeat(999)}\n`;
    const COUNT = 40_000;
    const said = (async () => {
      for (let i = 0; i < COUNT; i += 100) {
        await speaker.write(line.repeat(100));
      }
      await speaker.write("the end\n");
    })();
    let length = 0;
    let end = "";
    const buffer = new Uint8Array(131_072);
    while (!end.includes("the end")) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const read = (await within(slow.read(buffer)))!;
      length += read;
      end = text(buffer.subarray(0, read)).slice(-100);
    }
    await within(said);
    await quick.until(() => quick.total === COUNT + 1);
    const marked = COUNT * (line.length + `<${speaker.name}> `.length);
    assert(length > marked && length < marked + 500, `${length} of ${marked}`);
    assertEquals(quick.missed, 0);
  },
);

Deno.test(
  "tcp_server.ts goes on, with bounded memory, when NATS stands still",
  {
    ignore: MISSING || Deno.build.os !== "linux",
  },
  async () => {
    await using nats = await NatsServer.start();
    await using server = nats.room();
    const port = await server.port();
    using speaker = await Member.join(port);
    using listener = await Member.join(port);
    const memory = async () => {
      const args = ["-o", "rss=", "-p", `${server.process.pid}`];
      const { stdout } = await new Deno.Command("ps", { args }).output();
      return Number(text(stdout)) / 1024;
    };
    nats.kill("SIGSTOP");
    const line = `${"x".repeat(999)}\n`;
    const COUNT = 200_000;
    for (let i = 0; i < COUNT; i += 100) await speaker.write(line.repeat(100));
    await listener.until(() => listener.total === COUNT);
    await listener.note("other servers are out of reach");
    // Two hundred megabytes were said; Deno's own take sixty or so.
    const used = await memory();
    assert(used < 180, `${used} MB`);
    nats.kill("SIGCONT");
    await listener.note("other servers are back");
  },
);

const NONE = "127.0.0.1:1";
const MISTAKES: [string[], number, RegExp][] = [
  [["--relay", `nats://${NONE}`], 2, /--relay is for --mode room/],
  [["--relay", NONE], 2, /--relay must be nats:\/\/HOST:PORT or tls:/],
  [["--relay", "nats://a:b"], 2, /--relay Cannot parse address "a:b"/],
  [["--relay", "nats://udp://:1"], 2, /--relay must name one host and port/],
  [["--relay-creds", "x"], 2, /--relay-creds goes with --relay/],
  [
    ["-m", "room", "--relay", `nats://127.0.0.1:${closedPort()}`],
    1,
    /Cannot relay by NATS at 127.0.0.1:\d+: nobody listens there/,
  ],
  [
    ["-m", "room", "--relay", "nats://no.such.host.invalid"],
    1,
    /Cannot relay by NATS at no.such.host.invalid:4222: the name does not/,
  ],
  [
    ["-m", "room", "--relay", `nats://${NONE}`, "--relay-creds", "none"],
    1,
    /Cannot read none: Deno was not allowed to; it needs --allow-read=none/,
  ],
];
for (const [args, code, message] of MISTAKES) {
  const given = args.join(" ").replace(/:\d{5}/, ":PORT");
  Deno.test(`tcp_server.ts says what is wrong when given ${given}`, async () => {
    const ended = await run("tcp_server.ts", ["127.0.0.1:0", ...args]);
    assertMatch(ended.stderr, /^tcp_server: .*\n$/);
    assertMatch(ended.stderr, message);
    assertEquals(ended.code, code);
  });
}

for (const place of [NONE, "localhost:4222"]) {
  Deno.test(`tcp_server.ts names the permission when it may not connect to ${place}`, async () => {
    const permissions = ["--allow-net=127.0.0.1:0"];
    const args = ["127.0.0.1:0", "-m", "room", "--relay", `nats://${place}`];
    const { code, stderr } = await run("tcp_server.ts", args, { permissions });
    assertMatch(stderr, new RegExp(`^tcp_server: .*--allow-net=${place}\n$`));
    assertEquals(code, 1);
  });
}

Deno.test("tcp_server.ts says so when what listens is not NATS", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const url = `nats://127.0.0.1:${listener.addr.port}`;
  const args = ["127.0.0.1:0", "-m", "room", "--relay", url];
  const ended = run("tcp_server.ts", args);
  using conn = await within(accepted);
  await conn.write(bytes("220 mail.example ESMTP\r\n"));
  const { code, stderr } = await ended;
  assertMatch(stderr, /^tcp_server: .*: it does not speak NATS; .*\n$/);
  assertEquals(code, 1);
});

/** What comes of a server that cannot relay. */
async function refusal(server: Running): Promise<string> {
  await using refused = server;
  const { code, stderr } = await refused.ended();
  assertMatch(stderr, /^tcp_server: Cannot relay by NATS at .*\n$/);
  assertEquals(code, 1);
  return stderr;
}

Deno.test(
  "tcp_server.ts signs in to NATS when it has credentials, and says so when they are wrong",
  {
    ignore: MISSING,
  },
  async () => {
    const { user, stranger, config } = makeCredentials();
    const folder = await Deno.makeTempDir({ prefix: "relay_" });
    await using _ = {
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    };
    const write = async (name: string, text: string) => {
      await Deno.writeTextFile(`${folder}/${name}`, text);
      return `${folder}/${name}`;
    };
    const path = await write("nats.conf", config);
    await using nats = await NatsServer.start("-c", path);
    const server = (file: string) =>
      nats.room("nats", ["--relay-creds", file], [
        `--allow-net=127.0.0.1:0,127.0.0.1:${nats.port}`,
        `--allow-read=${file}`,
      ]);
    assertMatch(
      await refusal(nats.room()),
      /name them with --relay-creds FILE/,
    );
    const wrong = await write("stranger.creds", stranger);
    assertMatch(
      await refusal(server(wrong)),
      /refuses the credentials in .*str/,
    );
    const none = await write("no.creds", "nothing");
    assertMatch(await refusal(server(none)), /no.creds holds no credentials/);
    await using good = server(await write("user.creds", user));
    await good.port();
  },
);

Deno.test(
  "tcp_server.ts relays by TLS when asked for it, and by nothing less",
  {
    ignore: MISSING || !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    const withTls = ({ certFile, keyFile }: Certificate) =>
      NatsServer.start("--tls", "--tlscert", certFile, "--tlskey", keyFile);
    const trusted = [`--cert=${made.ca.certFile}`, "--allow-net=127.0.0.1"];
    {
      await using nats = await withTls(made.good);
      await using one = nats.room("tls", [], trusted);
      // A server that insists on TLS gets it either way.
      await using two = nats.room("nats", [], trusted);
      using member = await Member.join(await one.port());
      using other = await Member.join(await two.port());
      await member.note(`${other.name} joined`);
      const untrusted = await refusal(nats.room("tls"));
      assertMatch(
        untrusted,
        /signed by nobody that is trusted here; .* --cert/,
      );
    }
    const bad: [Certificate, RegExp][] = [
      [made.wrongName, /is for another name/],
      [made.expired, /has expired/],
    ];
    for (const [certificate, reason] of bad) {
      await using nats = await withTls(certificate);
      assertMatch(await refusal(nats.room("tls", [], trusted)), reason);
    }
    await using plain = await NatsServer.start();
    assertMatch(await refusal(plain.room("tls")), /it has no TLS/);
  },
);
