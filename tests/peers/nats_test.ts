/** A real nats-server between our servers: rooms that span them. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
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
  assertHeard,
  gather,
  makeCredentials,
  Member,
  MISSING,
  NatsServer,
  surviveKills,
} from "../support/nats_server.ts";
import { has, needs } from "../support/system.ts";

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

for (const count of [2, 4]) {
  Deno.test(
    `tcp_server.ts shares its room when ${count} servers use the same NATS`,
    {
      ...needs("signals"),
      ignore: MISSING || !has("signals"),
    },
    async () => {
      await using nats = await NatsServer.start();
      await using stack = new AsyncDisposableStack();
      const servers = Array.from(
        { length: count },
        () => stack.use(nats.room()),
      );
      const rooms = await gather(servers, MEMBERS, stack);
      const all = rooms.flat();
      assertEquals(new Set(all.map(({ name }) => name)).size, all.length);
      const last = all.at(-1)!;
      assert(last.notes.includes(`you are ${last.name}, ${all.length} here`));

      const each = Math.floor(LINES / all.length);
      await Promise.all(all.map((member) => member.say(each)));
      await assertHeard(all, all, each);

      // A newcomer hears from now on, and knows how many there are.
      await using late = nats.room();
      await late.stderr(new RegExp(`(shared with the server[^]*){${count}}`));
      using newcomer = await Member.join(await late.port());
      await newcomer.note(`you are ${newcomer.name}, ${all.length + 1} here`);
      await last.note(`${newcomer.name} joined`);
      await last.say(1);
      await newcomer.until(() => newcomer.total > 0);
      assertEquals([...newcomer.heard], [[last.name, each + 1]]);

      // Leaves are told everywhere, those of a server that stops as well.
      const [leaving, ...staying] = rooms;
      servers[0].process.kill("SIGTERM");
      for (const member of leaving) member[Symbol.dispose]();
      assertEquals((await servers[0].ended()).code, 0);
      for (const member of staying.flat()) {
        for (const { name } of leaving) await member.note(`${name} left`);
      }
    },
  );
}

Deno.test("tcp_server.ts loses nothing when NATS is killed and comes back", {
  ignore: MISSING,
}, () => surviveKills(2));

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
    await said;
    await quick.until(() => quick.total === COUNT + 1);
    const marked = COUNT * (line.length + `<${speaker.name}> `.length);
    assert(length > marked && length < marked + 500, `${length} of ${marked}`);
    assertEquals(quick.missed, 0);
  },
);

Deno.test(
  "tcp_server.ts keeps a megabyte, and counts the rest, when NATS stands still",
  {
    ...needs("linux"),
    ignore: MISSING || !has("linux"),
  },
  async () => {
    await using nats = await NatsServer.start();
    await using stack = new AsyncDisposableStack();
    const servers = [stack.use(nats.room()), stack.use(nats.room())];
    const [[speaker, listener], [distant]] = await gather(servers, 2, stack);
    const memory = async () => {
      const args = ["-o", "rss=", "-p", `${servers[0].process.pid}`];
      const { stdout } = await new Deno.Command("ps", { args }).output();
      return Number(text(stdout)) / 1024;
    };
    nats.kill("SIGSTOP");
    const COUNT = 200_000;
    for (let i = 0; i < COUNT; i += 100) {
      await speaker.say(100, "x".repeat(990));
    }
    await listener.until(() => listener.total === COUNT);
    await listener.note("other servers are out of reach");
    // Two hundred megabytes were said; Deno's own take sixty or so.
    const used = await memory();
    assert(used < 200, `${used} MB`);
    nats.kill("SIGCONT");
    await listener.note("other servers are back");
    await distant.until(() => distant.total + distant.missed >= COUNT);
    assertEquals(distant.total + distant.missed, COUNT);
    // What was said before it was noticed waits as well.
    assert(distant.total > 1000 && distant.total < 4000, `${distant.total}`);
    const lost =
      `other servers are back, ${distant.missed} lines were not kept`;
    assertEquals(listener.noted(lost), 1);
    assertEquals(distant.notes.filter((note) => /OUT/.test(note)), []);

    // It stops at once when NATS stands still again.
    nats.kill("SIGSTOP");
    servers[0].process.kill("SIGTERM");
    for (const member of [speaker, listener]) member[Symbol.dispose]();
    const begin = performance.now();
    assertEquals((await servers[0].ended()).code, 0);
    assert(performance.now() - begin < 6000);
  },
);

Deno.test(
  "tcp_server.ts counts what a member missed when the stream is too small",
  {
    ...needs("linux"),
    ignore: MISSING || !has("linux"),
  },
  async () => {
    await using nats = await NatsServer.start();
    const { state } = await nats.makeStream({ max_bytes: 50_000 });
    assertEquals(state.messages, 0);
    await using stack = new AsyncDisposableStack();
    const servers = [stack.use(nats.room()), stack.use(nats.room())];
    const [[speaker, listener], distant] = await gather(servers, 2, stack);
    servers[1].process.kill("SIGSTOP");
    const COUNT = 20_000;
    for (let i = 0; i < COUNT; i += 100) {
      await speaker.say(100);
      await listener.until(() => listener.total === i + 100);
    }
    servers[1].process.kill("SIGCONT");
    for (const member of distant) {
      await member.until(() => member.total + member.missed >= COUNT);
      assertEquals(member.total + member.missed, COUNT);
      assert(member.missed > 1000, `${member.missed} missed`);
      assertEquals(member.notes.filter((note) => /OUT/.test(note)), []);
    }
    assertEquals((await nats.stream()).config.max_bytes, 50_000);
  },
);

for (const limit of ["max_payload", "max_msg_size"]) {
  Deno.test(
    `tcp_server.ts loses no more than longer lines when there is a small ${limit}`,
    {
      ignore: MISSING,
    },
    async () => {
      const folder = await Deno.makeTempDir({ prefix: "relay_" });
      await using stack = new AsyncDisposableStack();
      stack.defer(() => Deno.remove(folder, { recursive: true }));
      const path = `${folder}/nats.conf`;
      const isOfServer = limit === "max_payload";
      await Deno.writeTextFile(path, isOfServer ? "max_payload: 4096\n" : "");
      await using nats = await NatsServer.start("-c", path);
      if (!isOfServer) await nats.makeStream({ max_msg_size: 4096 });
      const servers = [stack.use(nats.room()), stack.use(nats.room())];
      const rooms = await gather(servers, 2, stack);
      const all = rooms.flat();
      await Promise.all(all.map((member) => member.say(1000)));
      await assertHeard(all, all, 1000);
      const [[speaker, near], [far]] = rooms;
      await speaker.say(1, "x".repeat(5000));
      await speaker.say(1);
      await near.until(() => near.heard.get(speaker.name) === 1002);
      await far.until(() => far.heard.get(speaker.name) === 1002);
      assertEquals(far.missed, 1);
      await servers[0].stderr("1 line is too long for NATS");
    },
  );
}

Deno.test(
  "tcp_server.ts tells that members are gone when their server is killed",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    await using stack = new AsyncDisposableStack();
    const servers = [stack.use(nats.room()), stack.use(nats.room())];
    const [[member], _] = await gather(servers, 2, stack);
    servers[1].process.kill("SIGKILL");
    const begin = performance.now();
    await member.note("lost 2 members at @");
    const seconds = (performance.now() - begin) / 1000;
    assert(seconds < 10, `${seconds} s`);
    using newcomer = await Member.join(await servers[0].port());
    assertEquals(newcomer.noted(`${newcomer.name}, 3 here`), 1);
  },
);

Deno.test(
  "tcp_server.ts tells nothing twice when a server was gone, and is read again",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    await using server = nats.room();
    using member = await Member.join(await server.port());
    await nats.as(async (client) => {
      const say = async (first: number, words: string) => {
        client.publish("room.bbbbbb", `${first} 1\n<user1@bbbbbb> ${words}\n`);
        await client.flush();
      };
      await say(0, "0 once");
      await member.note("lost 1 member at @bbbbbb");
      await say(0, "0 once");
      await say(1, "1 again");
      await member.note("1 member back at @bbbbbb", 2);
      await say(3, "3 after a gap");
    });
    await member.until(() => member.heard.get("user1@bbbbbb") === 4);
    assertEquals(member.total, 3);
    assertEquals(member.notes.at(-1), "missed 1 line from @bbbbbb");
  },
);

Deno.test(
  "tcp_server.ts lets nobody speak for others, or with escapes, when anyone publishes",
  {
    ignore: MISSING,
  },
  async () => {
    await using nats = await NatsServer.start();
    await using server = nats.room();
    using member = await Member.join(await server.port());
    const own = member.name.split("@")[1];
    const broken = ["", "\n", "x", "7", "null", "-1 1\n", "0.5 1\n"];
    broken.push("1 1 1\n", "9".repeat(40) + " 1\n", '{"first":0}\n', "\xff\0");
    const said = [
      "<user1@bbbbbb> 0 first",
      `<user1@${own}> never`,
      "<user1> never",
      "<user1@cccccc> never",
      "* you are never",
      "* user1@bbbbbb left, never",
      "<user1@bbbbbb> 1 \x1b[2J\rescape \u202e",
      `<user1@bbbbbb> too long for this room${"!".repeat(100_000)}`,
      "* user1@bbbbbb left",
    ];
    await nats.as(async (client) => {
      const say = (id: string, message: string) =>
        client.publish(`room.${id}`, message);
      for (const message of broken) {
        say("bbbbbb", `${message}<user1@bbbbbb> never\n`);
        say("bbbbbb", message);
      }
      for (const id of ["b", "BBBBBB", "bbbbbbb", "b-bbbb", own]) {
        say(id, `0 1\n<user1@${id}> never\n`);
      }
      say("bbbbbb", `0 0\n${said.map((line) => `${line}\n`).join("")}`);
      say("bbbbbb", "3 0\n<user1@bbbbbb> was there before\n");
      say("bbbbbb", "109 0\n<user1@bbbbbb> 2 last\n");
      say("bbbbbb", "\n".repeat(1_000_000));
      await client.flush();
    });
    await member.until(() => member.heard.get("user1@bbbbbb") === 3);
    assertEquals(member.notes.slice(1), [
      "user1@bbbbbb left",
      "missed 6 lines from @bbbbbb",
      "missed 100 lines from @bbbbbb",
    ]);
    assertEquals(member.total, 3);
    assertEquals(member.raw.match(/never|before/), null);
    assertStringIncludes(member.raw, "1 \\x1b[2J\\x0descape \\u202e\n");

    // Those who are what they say are still heard.
    await using other = nats.room();
    using speaker = await Member.join(await other.port());
    await speaker.say(1);
    await member.until(() => member.heard.get(speaker.name) === 1);
  },
);

Deno.test(
  "tcp_server.ts needs no more of an account for NATS than the README names",
  {
    ignore: MISSING,
  },
  async () => {
    const publish = [
      "room.*",
      "$JS.API.STREAM.INFO.ROOM",
      "$JS.API.STREAM.CREATE.ROOM",
      "$JS.API.CONSUMER.CREATE.ROOM.*",
      "$JS.API.CONSUMER.INFO.ROOM.*",
      "$JS.API.CONSUMER.MSG.NEXT.ROOM.*",
      "$JS.API.CONSUMER.DELETE.ROOM.*",
    ];
    const permissions = JSON.stringify({ publish, subscribe: ["_INBOX.>"] });
    const user = `{ user: room, password: x, permissions: ${permissions} }`;
    const folder = await Deno.makeTempDir({ prefix: "relay_" });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(folder, { recursive: true }));
    const path = `${folder}/nats.conf`;
    const config = `authorization { users: [${user}] }\nno_auth_user: room\n`;
    await Deno.writeTextFile(path, config);
    await using nats = await NatsServer.start("-c", path);
    const servers = [stack.use(nats.room()), stack.use(nats.room())];
    const rooms = await gather(servers, 1, stack);
    await nats.end();
    for (const [member] of rooms) await member.note("out of reach");
    for (const [member] of rooms) await member.say(1);
    await nats.restart();
    await assertHeard(rooms.flat(), rooms.flat(), 1);
    for (const server of servers) {
      assert(!/ermission/.test(await server.stderr("NATS is back")));
    }
  },
);

Deno.test("tcp_server.ts says how to start NATS when it has no JetStream", {
  ignore: MISSING,
}, async () => {
  await using nats = await NatsServer.startPlain();
  assertMatch(
    await refusal(nats.room()),
    /no JetStream; start `nats-server -js`\n$/,
  );
});

const NONE = "127.0.0.1:1";
const MISTAKES: [string[], number, RegExp][] = [
  [["--relay", `nats://${NONE}`], 2, /--relay is for --mode room/],
  [["--relay", NONE], 2, /--relay must be nats:\/\/HOST:PORT or tls:/],
  [["--relay", "nats://a:b"], 2, /Cannot parse address "a:b"/],
  [["--relay", "nats://udp://:1"], 2, /--relay must be nats:.*, not nats:/],
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
  using conn = await accepted;
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
    const refused = /refuses us; name credentials with --relay-creds FILE/;
    assertMatch(await refusal(nats.room()), refused);
    const wrong = await write("stranger.creds", stranger);
    assertMatch(await refusal(server(wrong)), refused);
    const none = await write("no.creds", "nothing");
    assertMatch(await refusal(server(none)), /unable to parse credentials/);
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
        /signer is not trusted; .* --cert/,
      );
    }
    const bad: [Certificate, RegExp][] = [
      [made.wrongName, /does not match certificate/],
      [made.expired, /has expired/],
    ];
    for (const [certificate, reason] of bad) {
      await using nats = await withTls(certificate);
      assertMatch(await refusal(nats.room("tls", [], trusted)), reason);
    }
    await using plain = await NatsServer.start();
    assertMatch(await refusal(plain.room("tls")), /does not support 'tls'/);
  },
);
