/** A chat at a real terminal: tcp_client.ts and tcp_server.ts as whole processes. */
import { assertEquals, assertMatch } from "@std/assert";
import { Running, SCRIPTS, within } from "../support/helpers.ts";
import { screenOf } from "../support/screen.ts";
import { needs } from "../support/system.ts";

const PYTHON = "python3";
const TERMINAL = "tests/support/python/terminal.py";
const CHAT = needs("terminals");
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
    const run = `run --quiet --no-prompt --allow-net ${SCRIPTS}/${script}`;
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
      await client.shows(/ -> half$/);
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
      await client.shows(/\nbye\n -> $/);
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
        /\nNot sent: this line has 300 bytes, a message in u8 at most 255\n -> $/,
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
  "tcp_client.ts shows a raw message on a line of its own, however it is cut",
  CHAT,
  () =>
    meeting(
      async (client, peer) => {
        const [first, second] = [[0x61, 0xe2, 0x82], [0xac, 0x62]];
        await peer.say(new Uint8Array(first));
        await client.shows(/\na\n -> $/);
        await peer.say(new Uint8Array(second));
        await client.shows(/\n€b\n -> $/);
        const long = "0123456789".repeat(250);
        await peer.say(`${long}\nnext\n`);
        await client.shows(new RegExp(`\\n${long}\\nnext\\n -> $`));
      },
      [],
      { columns: 5000 },
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
async function chatServer(): Promise<[Chatter, number]> {
  const server = new Chatter("tcp_server.ts", ["127.0.0.1:0", "-m", "chat"]);
  const said = await server.shows(/Listening on \S*:\d+ /);
  return [server, Number(/Listening on \S*:(\d+) /.exec(said)![1])];
}

Deno.test(
  "tcp_server.ts -m chat sends what is typed only to the client that it was typed for",
  CHAT,
  async () => {
    const [server, port] = await chatServer();
    await using _ = server;
    await server.type("hello?\n");
    await server.shows(/Not sent, nobody is connected: hello\?\n/);
    {
      using first = new Peer(await Deno.connect({ port }));
      await first.say("I am the first\n");
      await server.shows(/I am the first\n -> $/);
      await server.type("to the first\n");
      assertEquals(await first.hears(13), "to the first\n");
      await server.type("half to the first");
      await server.shows(/ -> half to the first$/);
    }
    await server.shows(/closed\n *$/);
    using second = new Peer(await Deno.connect({ port }));
    await second.say("I am the second\n");
    await server.shows(/I am the second\n -> $/);
    await server.type("to the second\n");
    assertEquals(await second.hears(14), "to the second\n");
    await server.type(CTRL_C);
    assertEquals(await second.hears(), "");
    assertEquals((await server.ended()).code, 0);
  },
);
