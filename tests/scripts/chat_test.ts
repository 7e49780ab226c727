/** A chat at a real terminal: tcp_client.ts and tcp_server.ts as whole processes. */
import { assertEquals, assertMatch } from "@std/assert";
import { Running, within } from "../support/helpers.ts";
import { screenOf } from "../support/screen.ts";
import { needs } from "../support/system.ts";

const PYTHON = "python3";
const TERMINAL = "tests/support/python/terminal.py";
const CHAT = needs("terminals");
/** What stands before a line that is typed. */
const ARROW = " -> ";
const CTRL_C = "\x03";
const CTRL_D = "\x04";
const UP = "\x1b[A";

/** How a script is started. */
interface At {
  columns?: number;
  env?: Record<string, string>;
  /** What the shell does after it. */
  then?: string;
}

/** A script at a terminal of its own. */
class Chatter implements AsyncDisposable {
  #running: Running;
  #columns: number;

  constructor(script: string, args: string[], at: At = {}) {
    const { columns = 80, env, then = "exit" } = at;
    this.#columns = columns;
    const run = `run --quiet --no-prompt --allow-net scripts/${script}`;
    const line = `${Deno.execPath()} ${run} ${args.join(" ")}`;
    const shell = `stty columns ${columns}; ${line}; ${then}`;
    this.#running = new Running(PYTHON, [TERMINAL, "bash", "-c", shell], {
      input: "open",
      env,
    });
  }

  type(text: string): Promise<void> {
    return this.#running.type(text);
  }

  /** Waits until the screen shows something; gives all that came. */
  shows(wanted: RegExp): Promise<string> {
    const test = (output: string) =>
      wanted.test(screenOf(output, this.#columns));
    return this.#running.stdout({ test });
  }

  /** Waits for the end; gives the exit code and what the screen shows. */
  async ended(): Promise<{ code: number; screen: string }> {
    const { code, stdout } = await this.#running.ended();
    return { code, screen: screenOf(stdout, this.#columns) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running[Symbol.asyncDispose]();
  }
}

/** What the client talks to: one connection. */
class Peer implements Disposable {
  #conn: Deno.Conn;
  #unread = "";

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async say(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string"
      ? new TextEncoder().encode(text)
      : text;
    await this.#conn.write(bytes);
  }

  /** Reads so many characters, or to the end. */
  async hears(length = Infinity): Promise<string> {
    const buffer = new Uint8Array(65_536);
    while (this.#unread.length < length) {
      const read = await within(this.#conn.read(buffer));
      if (read === null) break;
      this.#unread += new TextDecoder().decode(buffer.subarray(0, read));
    }
    const heard = this.#unread.slice(0, length);
    this.#unread = this.#unread.slice(heard.length);
    return heard;
  }

  [Symbol.dispose](): void {
    this.#conn[Symbol.dispose]();
  }
}

/** A client at a terminal and the peer that it is connected to. */
async function meeting(
  use: (client: Chatter, peer: Peer) => Promise<void>,
  args: string[] = [],
  at?: At,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const place = `127.0.0.1:${listener.addr.port}`;
  await using client = new Chatter("tcp_client.ts", [place, ...args], at);
  using peer = new Peer(await within(listener.accept()));
  await client.shows(/ -> $/);
  await use(client, peer);
}

Deno.test(
  "tcp_client.ts keeps what is half typed when a message comes",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type("half");
      await client.shows(/ -> half$/);
      await peer.say("hello\n");
      await client.shows(/\nhello\n -> half$/);
      await client.type(" a line\n");
      assertEquals(await peer.hears(12), "half a line\n");
      await client.shows(/\nhello\n -> half a line\n -> $/);
    }),
);

Deno.test(
  "tcp_client.ts --explain tells calls above the line that is being typed",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type("half");
      await client.shows(/ -> half$/);
      await peer.say("hello\n");
      await client.shows(/receive .*"hello\\n"[^]*\n -> half$/);
      await client.type(" typed\n");
      assertEquals(await peer.hears(11), "half typed\n");
      await client.shows(/send .*half typed[^]*\n -> $/);
    }, ["--explain"]),
);

Deno.test(
  "tcp_client.ts keeps a half-typed line of several rows in a window of 20 columns",
  CHAT,
  () =>
    meeting(
      async (client, peer) => {
        await client.type("0123456789012345678901234567890123456789");
        await client.shows(/ -> 0123456789012345\n67890123456789012345\n6789$/);
        await peer.say("a message of more than one row\n");
        await client.shows(
          /\na message of more th\nan one row\n -> 0123456789012345\n67890123456789012345\n6789$/,
        );
        await client.type("!\n");
        assertMatch(await peer.hears(42), /^(0123456789){4}!\n$/);
      },
      [],
      { columns: 20 },
    ),
);

Deno.test(
  "tcp_client.ts leaves at once and sends nothing more when Ctrl-C is typed",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type("half");
      await client.shows(new RegExp(`${ARROW}half$`));
      await client.type(CTRL_C);
      assertEquals(await peer.hears(), "");
      const { code, screen } = await client.ended();
      assertEquals(code, 0);
      assertMatch(screen, /\nThe conversation with \S+ is over\n$/);
    }),
);

Deno.test(
  "tcp_client.ts half-closes when Ctrl-D is typed, and shows the rest",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type(`hello\n${CTRL_D}`);
      assertEquals(await peer.hears(), "hello\n");
      await peer.say("an answer\n");
      await client.shows(/an answer\n/);
      await client.type("too late\n");
      await client.shows(/Not sent, Ctrl-D has ended the input: too late\n/);
      peer[Symbol.dispose]();
      const { code } = await client.ended();
      assertEquals(code, 0);
    }),
);

Deno.test(
  "tcp_client.ts leaves when bye is typed, not when the peer says it",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await peer.say("bye\n");
      await client.shows(new RegExp(`\nbye\n${ARROW}$`));
      await client.type("goodbye\n");
      assertEquals(await peer.hears(8), "goodbye\n");
      await client.type(" Bye \n");
      assertEquals(await peer.hears(), "");
      assertEquals((await client.ended()).code, 0);
    }),
);

Deno.test(
  "tcp_client.ts sends each line when several are pasted",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type("one\rtwo 👋\rthr");
      assertEquals(await peer.hears(11), "one\ntwo 👋\n");
      await client.shows(/ -> one\n -> two 👋\n -> thr$/);
      await client.type("ee\r");
      assertEquals(await peer.hears(6), "three\n");
    }),
);

Deno.test(
  "tcp_client.ts sends a typed line of 6,000 characters",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      const line = "0123456789".repeat(600);
      await client.type(`${line}\n`);
      assertEquals(await peer.hears(6001), `${line}\n`);
    }),
);

Deno.test(
  "tcp_client.ts sends a line again when it is called back",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type("once\n");
      assertEquals(await peer.hears(5), "once\n");
      await client.type(UP);
      await client.shows(/\n -> once$/);
      await client.type(" more\n");
      assertEquals(await peer.hears(10), "once more\n");
    }),
);

Deno.test(
  "tcp_client.ts refuses a line that its framing cannot carry, and goes on",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type(`${"x".repeat(300)}\n`);
      await client.shows(
        new RegExp(
          `\nNot sent: this line has 300 bytes, a message in u8 at most 255\n${ARROW}$`,
        ),
      );
      await client.type("short\n");
      assertEquals(await peer.hears(6), "\x05short");
    }, ["-f", "u8"]),
);

Deno.test(
  "tcp_client.ts moves no cursor when TERM is dumb",
  CHAT,
  () =>
    meeting(
      async (client, peer) => {
        await client.type("half");
        await client.shows(/ -> half$/);
        await peer.say("hello\n");
        const output = await client.shows(/ -> half\nhello\n -> half$/);
        assertEquals(output.includes("\x1b"), false);
        await client.type("\n");
        assertEquals(await peer.hears(5), "half\n");
      },
      [],
      { env: { TERM: "dumb" } },
    ),
);

Deno.test(
  "tcp_client.ts shows a line that comes in parts as one line",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await client.type("half");
      const parts = [[0x61, 0xe2, 0x82], [0xac, 0x62], [0x20], [0x63, 0x0a]];
      const screens = ["a", "a€b", "a€b ", "a€b c"];
      for (const [i, part] of parts.entries()) {
        await peer.say(new Uint8Array(part));
        await client.shows(new RegExp(`\\n${screens[i]}\\n -> half$`));
      }
      await client.type("!\n");
      assertEquals(await peer.hears(6), "half!\n");
    }),
);

Deno.test(
  "tcp_client.ts shows a message without an end on a line of its own",
  CHAT,
  () =>
    meeting(async (client, peer) => {
      await peer.say("Password: ");
      await client.shows(/\nPassword: \n -> $/);
      await client.type("secret\n");
      assertEquals(await peer.hears(7), "secret\n");
      // What is typed comes between.
      await peer.say("welcome");
      await client.shows(/\nPassword: \n -> secret\nwelcome\n -> $/);
      // And so does time.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      await peer.say("to you");
      await client.shows(/\nwelcome\nto you\n -> $/);
      peer[Symbol.dispose]();
      const { screen } = await client.ended();
      assertMatch(screen, /\nwelcome\nto you\n(?: -> )?\n?The conversation /);
    }),
);

Deno.test(
  "tcp_client.ts shows whole lines at once and no end where a read was full",
  CHAT,
  () =>
    meeting(
      async (client, peer) => {
        const long = "0123456789".repeat(20_000);
        await peer.say(`one\ntwo\nthr`);
        await client.shows(/\none\ntwo\nthr\n -> $/);
        await peer.say(`ee\n${long.slice(0, 100_000)}`);
        await client.shows(/\none\ntwo\nthree\n/);
        await peer.say(`${long.slice(100_000)}\nnext\n`);
        await client.shows(/\nthree\n(?:0123456789){20000}\nnext\n -> $/);
      },
      [],
      { columns: 250_000 },
    ),
);

Deno.test(
  "tcp_client.ts shows the end of a line that is too long for a window of 20 columns",
  CHAT,
  () =>
    meeting(
      async (client, peer) => {
        const rows = Array.from({ length: 40 }, (_, i) =>
          `${i} `.padEnd(20, "abcdefghijklmnopqrst"));
        await peer.say(rows.join(""));
        await client.shows(/\n39 abcdefghijklmnopq\n -> $/);
        await peer.say("\nnext\n");
        const all = rows.join("\n");
        await client.shows(new RegExp(`${all}\nnext\n -> $`));
      },
      [],
      { columns: 20 },
    ),
);

for (
  const [what, typed] of [
    ["bye comes with more", `bye\necho hacked\n${"x".repeat(100)}\n`],
    ["Ctrl-C ends it", `half${CTRL_C}`],
  ]
) {
  Deno.test(
    `tcp_client.ts leaves nothing typed to the shell when ${what}`,
    CHAT,
    () =>
      meeting(
        async (client, peer) => {
          await client.type(typed);
          assertEquals(await peer.hears(), "");
          const { screen } = await client.ended();
          assertMatch(screen, /\nleft over: \[\]\n$/);
        },
        [],
        { then: `IFS= read -r -t 1 rest; echo "left over: [$rest]"` },
      ),
  );
}

/** A server at a terminal, and where it listens. */
async function serverAt(
  args = ["-m", "chat"],
  at?: At,
): Promise<[Chatter, number]> {
  const server = new Chatter("tcp_server.ts", ["127.0.0.1:0", ...args], at);
  const said = await server.shows(/Listening on \S*:\d+ /);
  return [server, Number(/Listening on \S*:(\d+) /.exec(said)![1])];
}

Deno.test(
  "tcp_server.ts -m chat sends what is typed only to the client that it was typed for",
  CHAT,
  async () => {
    const [server, port] = await serverAt();
    await using _ = server;
    await server.type("hello?\n");
    await server.shows(/Not sent, nobody is connected: hello\?\n/);
    {
      using first = new Peer(await Deno.connect({ port }));
      await first.say("I am the first\n");
      await server.shows(new RegExp(`I am the first\n${ARROW}$`));
      await server.type("to the first\n");
      assertEquals(await first.hears(13), "to the first\n");
      await server.type("half to the first");
      await server.shows(new RegExp(`${ARROW}half to the first$`));
    }
    await server.shows(/closed\n *$/);
    using second = new Peer(await Deno.connect({ port }));
    await second.say("I am the second\n");
    await server.shows(new RegExp(`I am the second\n${ARROW}$`));
    await server.type("to the second\n");
    assertEquals(await second.hears(14), "to the second\n");
    await server.type(CTRL_C);
    assertEquals(await second.hears(), "");
    assertEquals((await server.ended()).code, 0);
  },
);

Deno.test(
  "tcp_server.ts -m chat says once that nobody is connected, however many have left",
  CHAT,
  async () => {
    const [server, port] = await serverAt();
    await using _ = server;
    for (let i = 1; i <= 3; i++) {
      using peer = new Peer(await Deno.connect({ port }));
      await peer.say(`hello ${i}\n`);
      await server.shows(new RegExp(`hello ${i}\n${ARROW}$`));
      peer[Symbol.dispose]();
      await server.shows(new RegExp(`hello ${i}\n[^]* closed\n *$`));
    }
    await server.type("hello?\nanybody?\n");
    await server.shows(/Not sent.*anybody\?\n *$/);
    await server.type(CTRL_C);
    const { screen } = await server.ended();
    assertEquals(screen.split("Not sent").length - 1, 2, screen);
  },
);

const NEXT = { then: 'echo "[next]"' };

for (
  const args of [
    ["-m", "chat", "--once"],
    ["-m", "chat", "--once", "< /dev/null"],
    ["-m", "pipe"],
    ["-m", "pipe", "--no-stdin", "--once"],
    ["-m", "pipe", "-f", "fixed:9", "< /dev/null"],
  ]
) {
  Deno.test(
    `tcp_server.ts ends the last line that came with ${args.join(" ")}`,
    CHAT,
    async () => {
      const [server, port] = await serverAt(args, NEXT);
      await using _ = server;
      using peer = new Peer(await Deno.connect({ port }));
      await peer.say("no end \xe2");
      await server.shows(/ connected\n(?: -> )?no end /);
      peer[Symbol.dispose]();
      const { screen } = await server.ended();
      assertMatch(
        screen,
        /\nno end \S*\n(?: -> )?\n?127\S+ closed\n(?: *\n)?\[next\]\n$/,
      );
    },
  );
}

for (const args of [["--no-stdin"], ["< /dev/null"], ["--send", "hi"], []]) {
  Deno.test(
    `tcp_client.ts ends the last line that came with ${
      args.join(" ") || "a keyboard"
    }`,
    CHAT,
    async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const place = `127.0.0.1:${listener.addr.port}`;
      await using client = new Chatter("tcp_client.ts", [place, ...args], NEXT);
      using peer = new Peer(await within(listener.accept()));
      await peer.say("no end");
      await client.shows(/(^|\n)no end/);
      peer[Symbol.dispose]();
      const { screen } = await client.ended();
      assertMatch(
        screen,
        /(^|\n)no end\n(?: -> \n)?(The conversation .*\n)?\[next\]\n$/,
      );
    },
  );
}

Deno.test(
  "tcp_client.ts --hex shows what is typed and what comes, and leaves when Ctrl-C is typed",
  CHAT,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const args = [`127.0.0.1:${listener.addr.port}`, "--hex"];
    await using client = new Chatter("tcp_client.ts", args);
    using peer = new Peer(await within(listener.accept()));
    await client.type("hi\n");
    assertEquals(await peer.hears(3), "hi\n");
    await peer.say("ho\n");
    await client.shows(/\n> 0{8} {2}68 69 0a .*\n< 0{8} {2}68 6f 0a .*\n$/);
    await client.type(CTRL_C);
    assertEquals(await peer.hears(), "");
    assertEquals((await client.ended()).code, 0);
  },
);

Deno.test(
  "tcp_client.ts --replies 1 leaves a keyboard when an answer has come",
  CHAT,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const args = [`127.0.0.1:${listener.addr.port}`, "--replies", "1"];
    await using client = new Chatter("tcp_client.ts", args, NEXT);
    using peer = new Peer(await within(listener.accept()));
    await client.type("hi\n");
    assertEquals(await peer.hears(3), "hi\n");
    await peer.say("ho\nmore\n");
    const { code, screen } = await client.ended();
    assertMatch(screen, /\nho\n\[next\]\n$/);
    assertEquals(code, 0);
  },
);

Deno.test(
  "tcp_client.ts --progress keeps to one row of a window of 40 columns",
  CHAT,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const args = [`127.0.0.1:${listener.addr.port}`, "--no-stdin"];
    args.push("--progress", "> /dev/null");
    await using client = new Chatter("tcp_client.ts", args, { columns: 40 });
    using peer = new Peer(await within(listener.accept()));
    await peer.say("0123456789");
    await client.shows(/^sent 0 B \(0 B\/s\), received 10 B \(.{0,9}$/);
    await peer.say("0123456789");
    await client.shows(/^sent 0 B \(0 B\/s\), received 20 B \(.{0,9}$/);
    peer[Symbol.dispose]();
    assertEquals((await client.ended()).code, 0);
  },
);
