/** The page of --explain=page, in a browser, and as others may try to use it. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Browsing } from "../support/browser.ts";
import { closedPort, run, Running, start } from "../support/helpers.ts";
import { within } from "../support/helpers.ts";
import { atTerminal } from "../support/processes.ts";
import { needs } from "../support/system.ts";
import { redirected } from "../support/processes.ts";
import { ask, askText, readUntil, Udp, writeAll } from "../support/sockets.ts";

const PAGE = new URL("../../lib/explain/page.ts", import.meta.url).pathname;
const BROWSER = needs("chromium");
const LINE = /See the sockets at (http:\/\/127\.0\.0\.1:(\d+)\/\w+\/)\s/;
const ANY_PORT = "127.0.0.1:0";

/** The address of the page that a program shows. */
async function addressOfPage(running: Running): Promise<string> {
  return LINE.exec(await running.stderr(LINE))![1];
}

/** A program of one's own, with the page; it stays until its input ends. */
async function withProgram(
  program: string,
  use: (running: Running) => Promise<void>,
): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, program);
  try {
    await using running = new Running(Deno.execPath(), [
      ...["run", "--no-prompt", "--quiet", "--unstable-net"],
      ...["--allow-net", "--preload", PAGE, file],
    ], { input: "open" });
    await use(running);
  } finally {
    await Deno.remove(file);
  }
}

const STAY = "\nawait Deno.stdin.read(new Uint8Array(1));\n";

Deno.test(
  "tcp_server.ts --explain=page shows an echo with its packets, bytes and calls, and how it ends",
  BROWSER,
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "--explain=page"]);
    const port = await server.port();
    await using browser = await Browsing.open(await addressOfPage(server));
    const { page } = browser;
    assertEquals(await askText(port, "hello\n"), "hello\n");
    await browser.sees("#text li", /close the connection/);
    const steps = (await browser.texts("#text li"))
      .map((text) => text.replace(/^[\d.]+ ms, socket (\d): (\S+).*/, "$1 $2"));
    assertEquals(steps, [
      ...["1 create", "1 option", "1 bind", "1 listen", "2 accept", "2 option"],
      ...["2 receive", "2 send", "2 receive", "2 close"],
    ]);
    // The end of what the client says, and the close, do not look like data.
    const kinds = await page.evaluate<string[]>(
      "[...document.querySelectorAll('#rows > g')].map((row) => row.getAttribute('class').trim())",
    );
    assertEquals(kinds.slice(4), [
      ...["accept", "option", "receive", "send", "end open", "close"],
    ]);
    const packets = await browser.texts("#rows text.small");
    assertEquals(packets.filter((text) => !text.endsWith("ms")), [
      ...["SYN", "SYN ACK", "ACK", "FIN", "ACK", "FIN", "ACK"],
    ]);
    await page.locator("main").focus();
    for (const key of ["End", "ArrowUp", "ArrowUp"]) {
      await page.keyboard.press(key);
    }
    await browser.sees(
      "#what",
      /^send 6 bytes to 127\.0\.0\.1:\d+: "hello\\n"$/,
    );
    await browser.sees("#bytes", "0000  68 65 6c 6c 6f 0a        hello.");
    await browser.sees("#facts dd", "send(fd, buffer, 6, 0) = 6");
    await browser.sees("#facts dd", "s.send(data)");
    server.process.kill("SIGTERM");
    assertEquals((await server.ended()).code, 0);
    await browser.sees("#state", "it has ended");
    assertMatch(
      (await browser.texts("#text li")).at(-1)!,
      /1: close the socket/,
    );
  },
);

Deno.test(
  "udp_receiver.ts --explain=page shows which datagrams were answered or lost",
  BROWSER,
  async () => {
    await using receiver = start("udp_receiver.ts", [
      ...[ANY_PORT, "--echo", "--explain=page"],
    ], { permissions: ["--unstable-net", "--allow-net"] });
    const port = await receiver.port();
    await using browser = await Browsing.open(await addressOfPage(receiver));
    using peer = new Udp();
    await peer.send("ping", port);
    assertEquals(await peer.texts(1), ["ping"]);
    await browser.sees("g.send.open text", "no answer yet");
    for (const number of [0, 3]) {
      const datagram = new Uint8Array(20);
      datagram.set(new TextEncoder().encode("NUM1"));
      datagram[11] = number;
      await peer.send(datagram, port);
      await peer.next(1);
    }
    await browser.sees("g.receive.failed text", "before number 3, 2 have not");
    await browser.sees("g.send:not(.open) text", /answered in [\d.]+ ms/, 2);
    await browser.sees("g.send.open text", "no answer yet");
    receiver.process.kill("SIGTERM");
    await browser.sees(
      "g.send.open text",
      "no answer: lost, or nobody listens",
    );
  },
);

Deno.test(
  "page.ts shows a refused connection in the error's own words",
  BROWSER,
  async () => {
    const program = `
    await Deno.connect({ port: ${closedPort()} }).catch(() => {});
    ${STAY}`;
    await withProgram(program, async (running) => {
      await using browser = await Browsing.open(await addressOfPage(running));
      await browser.sees("g.failed text", "connect fails: ConnectionRefused");
      await browser.sees("g.failed text", "RST");
      await browser.sees("#text li", "ConnectionRefused: Connection refused");
      await browser.page.locator("g.failed").click();
      await browser.sees("#facts dd", /^connect\(fd, .* = -1 ECONNREFUSED$/);
      await running.stdin!.close();
      assertEquals((await running.ended()).code, 0);
    });
  },
);

Deno.test(
  "tcp_server.ts -m chat --explain=page sends what is typed on the page, and shows what comes",
  BROWSER,
  async () => {
    await using server = start("tcp_server.ts", [
      ...[ANY_PORT, "-m", "chat", "--explain=page"],
    ], { input: "open" });
    const port = await server.port();
    await using browser = await Browsing.open(await addressOfPage(server));
    const line = browser.page.locator("#line");
    using client = await Deno.connect({ port });
    await browser.sees("#messages li", "accept");
    await line.fill("hello from the page");
    await line.press("Enter");
    assertEquals(await readUntil(client, "\n"), "hello from the page\n");
    await browser.sees(".said.send", /^hello from the page$/);
    await server.type("from the keyboard\n");
    assertEquals(await readUntil(client, "\n"), "from the keyboard\n");
    await writeAll(client, "an answer\nof two lines\n");
    await browser.sees(".said.receive", /^an answer$/);
    await browser.sees(".said.receive", /^of two lines$/);
    await line.fill("bye");
    await line.press("Enter");
    assertEquals(await within(client.read(new Uint8Array(9))), null);
  },
);

Deno.test(
  "tcp_server.ts -m chat --explain=page keeps what is half typed at the terminal, and says why nothing is sent",
  {
    ...needs("terminals", "chromium"),
  },
  async () => {
    const args = [ANY_PORT, "-m", "chat", "--explain=page"];
    await using server = atTerminal("tcp_server.ts", ...args);
    const said = await server.stdout(/Listening on \S*:\d+ /);
    const port = Number(/Listening on \S*:(\d+) /.exec(said)![1]);
    const [, address] = LINE.exec(said)!;
    await using browser = await Browsing.open(address);
    const line = browser.page.locator("#line");
    await line.fill("nobody there?");
    await line.press("Enter");
    await browser.sees("#refusal", "Not sent: nobody is connected");
    assertEquals(await line.inputValue(), "nobody there?");
    using client = await Deno.connect({ port });
    await server.stdout(" -> ");
    await server.type("half");
    await server.stdout("half");
    await line.fill("from the page");
    await line.press("Enter");
    assertEquals(await readUntil(client, "\n"), "from the page\n");
    await server.stdout("-> from the page");
    await server.type("\n");
    assertEquals(await readUntil(client, "\n"), "half\n");
  },
);

Deno.test(
  "page.ts shows markup that a peer sends as text",
  BROWSER,
  async () => {
    await using server = start("tcp_server.ts", [
      ...[ANY_PORT, "-m", "chat", "--explain=page"],
    ], { input: "open" });
    const port = await server.port();
    await using browser = await Browsing.open(await addressOfPage(server));
    const { page } = browser;
    await browser.sees("#text li", "listen");
    const markup = `<img src=x onerror="document.title='owned'">`;
    using client = await Deno.connect({ port });
    await writeAll(client, `${markup}</text></svg><script>x</script>\n`);
    await browser.sees(".said", markup);
    await page.locator("main").focus();
    await page.keyboard.press("End");
    await browser.sees("#facts dd", markup);
    assertEquals(
      await page.locator("img, main script, aside script").count(),
      0,
    );
    assertEquals(await page.title(), "tcp_server.ts");
  },
);

/** Asks the page's server as no browser would; gives the first line it says. */
async function statusOf(
  address: string,
  { method = "GET", path = "", host = "", headers = "", target = "" },
): Promise<string> {
  const url = new URL(path, address);
  using conn = await Deno.connect({ port: Number(url.port) });
  const asked = target || url.pathname + url.search;
  const head = `${method} ${asked} HTTP/1.1\r\n` +
    `Host: ${host || url.host}\r\nConnection: close\r\n${headers}`;
  await writeAll(conn, `${head}\r\n`);
  const answer = await readUntil(conn, "\r\n\r\n");
  return /^HTTP\/1\.1 (\d+)/.exec(answer)![1];
}

Deno.test("page.ts answers none but its own page", async () => {
  await using server = start("tcp_server.ts", [
    ...[ANY_PORT, "-m", "chat", "--explain=page"],
  ], { input: "open" });
  const port = await server.port();
  const address = await addressOfPage(server);
  const { origin, host, pathname } = new URL(address);
  const wrong = pathname.replace(/\w/, (digit) => digit === "0" ? "1" : "0");
  const line = { method: "POST", path: "type?line=hello" };
  const from = (origin: string) => `Origin: ${origin}\r\n`;
  const asked: [string, Parameters<typeof statusOf>[1]][] = [
    ["200", {}],
    ["200", { path: "steps?has=0" }],
    ["200", { headers: `Origin: ${origin}\r\n` }],
    ["404", { path: wrong }],
    ["404", { path: `${wrong}steps?has=0` }],
    ["404", { path: "/" }],
    ["404", { path: "elsewhere" }],
    ["403", { host: "localhost" + host.slice(9) }],
    ["403", { host: `attacker.example${host.slice(9)}` }],
    ["403", { path: "steps?has=0", host: "attacker.example" }],
    ["403", { headers: "Origin: http://attacker.example\r\n" }],
    ["403", { path: "steps?has=0", headers: "Origin: null\r\n" }],
    ["403", { ...line, headers: from("http://attacker.example") }],
    ["403", { ...line, headers: from("null") }],
    ["403", line], // no origin at all
    ["403", { target: "http://[" }],
    ["404", { target: "//%%" }],
    ["404", {
      ...line,
      path: `${wrong}type?line=hello`,
      headers: from(origin),
    }],
    ["409", { ...line, path: "type?line=hell%1b", headers: from(origin) }],
  ];
  for (const [status, request] of asked) {
    assertEquals(
      await statusOf(address, request),
      status,
      `${Deno.inspect(request)}`,
    );
  }
  using client = await Deno.connect({ port });
  assertEquals(
    await statusOf(address, { ...line, headers: from(origin) }),
    "200",
  );
  // Nothing of what was refused has been typed.
  assertEquals(await readUntil(client, "\n"), "hello\n");
  server.process.kill("SIGTERM");
  const { stderr } = await server.ended();
  assert(!/Error/.test(stderr), stderr);
});

Deno.test("page.ts lets a page load nothing and run no script but its own", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--explain=page"]);
  const address = await addressOfPage(server);
  const response = await fetch(address);
  const html = await response.text();
  const policy = response.headers.get("content-security-policy")!;
  const [, nonce] = /script-src 'nonce-([\w-]+)'/.exec(policy)!;
  assert(policy.startsWith("default-src 'none'; connect-src 'self'; "), policy);
  assert(policy.endsWith("frame-ancestors 'none'"), policy);
  assertEquals(html.match(/<(script|style)\b[^>]*>/g), [
    ...Array(2).fill(`<style nonce="${nonce}">`),
    `<script type="module" nonce="${nonce}">`,
  ]);
  assertEquals(html.match(/\b(src|href|onclick|onerror)=/g), null);
  assertEquals(response.headers.get("cache-control"), "no-store");
  assertEquals(response.headers.get("referrer-policy"), "no-referrer");
  // What peers have sent is never read as a page.
  const steps = await fetch(new URL("steps?has=0", address));
  assertMatch(steps.headers.get("content-type")!, /^application\/json;/);
  assertEquals(steps.headers.get("x-content-type-options"), "nosniff");
  await steps.body?.cancel();
});

Deno.test(
  "page.ts is not frozen by 100,000 messages, and tells what is left out",
  BROWSER,
  async () => {
    const program = `
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const one = await Deno.connect({ port: listener.addr.port });
const other = await listener.accept();
${STAY}
const message = new TextEncoder().encode("a message\\n");
const buffer = new Uint8Array(100);
for (let i = 0; i < 50_000; i++) {
  await one.write(message);
  await other.read(buffer);
}
await one.write(new TextEncoder().encode("the last"));
console.log("sent");
${STAY}`;
    await withProgram(program, async (running) => {
      await using browser = await Browsing.open(await addressOfPage(running));
      const { page } = browser;
      await browser.sees("#text li", "accept");
      await running.type("x");
      await browser.sees("#text li", /send 10 bytes/, 100);
      // It answers in the middle of it.
      await page.locator("#pause").click();
      await browser.sees("#state", "paused");
      await running.stdout("sent");
      await page.locator("#pause").click();
      await browser.sees("#text li", '"the last"');
      await browser.sees("g text", /^\d{4,} steps are left out/);
      assert(await page.locator("#rows > g").count() <= 2000);
      assert(await page.locator("#text li").count() <= 2000);
      await running.stdin!.close();
      assertEquals((await running.ended()).code, 0);
    });
  },
);

Deno.test(
  "page.ts shows the same to a second browser, and goes on when the first is gone",
  BROWSER,
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "--explain=page"]);
    const port = await server.port();
    const address = await addressOfPage(server);
    await using first = await Browsing.open(address);
    await first.sees("#text li", "listen");
    await using second = await Browsing.open(address);
    await ask(port, "one");
    for (const browser of [first, second]) {
      await browser.sees("#text li", /send 3 bytes to .*"one"/);
    }
    await first.kill();
    await ask(port, "two");
    await second.sees("#text li", /send 3 bytes to .*"two"/);
    await second.kill();
    assertEquals(await askText(port, "three"), "three");
    server.process.kill("SIGTERM");
    assertEquals((await server.ended()).code, 0);
  },
);

Deno.test(
  "page.ts pauses, clears, and saves what it shows as SVG",
  BROWSER,
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "--explain=page"]);
    const port = await server.port();
    await using browser = await Browsing.open(await addressOfPage(server));
    const { page } = browser;
    await ask(port, "<one>");
    await browser.sees("#text li", /close the connection/);
    const svg = await browser.download("#save");
    assertMatch(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    assertMatch(svg, /receive 5 B "&lt;one&gt;"/);
    await page.locator("#pause").click();
    await page.locator("#clear").click();
    assertEquals(await page.locator("#rows > g, #text li").count(), 0);
    await ask(port, "two");
    await page.locator("#pause").click();
    await browser.sees("#text li", /send 3 bytes to .*"two"/);
    assertEquals(await page.locator("#text li", { hasText: "one" }).count(), 0);
  },
);

Deno.test("tcp_server.ts --explain=page serves on when its terminal is gone", {
  ...needs("bash", "chromium"),
}, async () => {
  const args = [ANY_PORT, "--explain=page"];
  // What reads its messages leaves after the first.
  await using server = redirected("2> >(head -n 1 >&2)", "tcp_server.ts", args);
  await using browser = await Browsing.open(await addressOfPage(server));
  await browser.sees("#text li", "bind");
  const [, , bind] = await browser.texts("#text li");
  const port = Number(/\d+$/.exec(bind));
  assertEquals(await askText(port, "hello"), "hello");
  await browser.sees("#text li", /close the connection/);
  server.process.kill("SIGTERM");
  assertEquals((await server.ended()).code, 0);
});

Deno.test("tcp_client.ts --explain=page ends as it does without a page", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT]);
  const args = [`127.0.0.1:${await server.port()}`, "--send", "hello"];
  const { code, stdout, stderr } = await run("tcp_client.ts", [
    ...[...args, "--explain=page"],
  ]);
  assertEquals([code, stdout], [0, "hello\n"]);
  assertMatch(stderr, RegExp(`^${LINE.source}$`));
});

Deno.test(
  "tcp_client.ts --explain=page shows its close before it exits",
  BROWSER,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using client = start("tcp_client.ts", [
      ...[`127.0.0.1:${listener.addr.port}`, "--explain=page"],
    ], { input: "open" });
    using conn = await listener.accept();
    await using browser = await Browsing.open(await addressOfPage(client));
    await browser.sees("#text li", "connect");
    await conn.closeWrite();
    assertEquals((await client.ended()).code, 0);
    await browser.sees("#state", "it has ended");
    await browser.sees("#text li", /close the connection/);
  },
);

for (const flags of [["--allow-net=127.0.0.1:1234"], []]) {
  Deno.test(`page.ts says which permission it needs when it has ${flags[0] ?? "none"}`, async () => {
    const wanted =
      "Cannot show the page on 127.0.0.1:0: Deno was not allowed to; it needs --allow-net=127.0.0.1:0\n";
    const script = await run("tcp_server.ts", ["--explain=page"], {
      permissions: flags,
    });
    assertEquals([script.code, script.stderr], [1, `tcp_server: ${wanted}`]);
    await using running = new Running(Deno.execPath(), [
      ...["run", "--no-prompt", "--quiet", ...flags, "--preload", PAGE],
      "scripts/tcp_server.ts",
    ]);
    const { code, stderr } = await running.ended();
    assertEquals(code, 1);
    assertEquals(stderr.replace(/^.*?(?=Cannot)/, ""), wanted);
  });
}

Deno.test("page.ts needs no permission but loopback's", async () => {
  await using server = start("tcp_server.ts", [ANY_PORT, "--explain=page"], {
    permissions: ["--allow-net=127.0.0.1:0"],
  });
  const response = await fetch(await addressOfPage(server));
  assertEquals(response.status, 200);
  await response.body?.cancel();
});

Deno.test("tcp_server.ts -m chat --explain=page has the page for its keyboard when there is no other", async () => {
  const args = [ANY_PORT, "-m", "chat", "--explain=page"];
  for (const [input, first] of [[undefined, ""], ["piped\n", "piped\n"]]) {
    await using server = start("tcp_server.ts", args, { input });
    const port = await server.port();
    const address = await addressOfPage(server);
    const { origin } = new URL(address);
    using client = await Deno.connect({ port });
    assertEquals(first && await readUntil(client, "\n"), first);
    // With its own input at its end, nothing more is to be said.
    if (first) assertEquals(await within(client.read(new Uint8Array(1))), null);
    const line = { method: "POST", headers: { origin } };
    const answer = await fetch(new URL("type?line=typed", address), line);
    assertEquals(await answer.text(), first && "the input has ended");
    if (!first) assertEquals(await readUntil(client, "\n"), "typed\n");
  }
});

Deno.test(
  "tcp_client.ts --explain=page at a terminal sends what is typed on the page",
  {
    ...needs("terminals"),
  },
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const place = `127.0.0.1:${listener.addr.port}`;
    await using client = atTerminal("tcp_client.ts", place, "--explain=page");
    using conn = await listener.accept();
    const address = LINE.exec(await client.stdout(LINE))![1];
    await client.stdout(" -> ");
    const line = {
      method: "POST",
      headers: { origin: new URL(address).origin },
    };
    for (const text of ["grüße", "bye"]) {
      const answer = await fetch(new URL(`type?line=${text}`, address), line);
      assertEquals([answer.status, await answer.text()], [200, ""]);
    }
    assertEquals(await readUntil(conn, "\n"), "grüße\n");
    assertEquals(await within(conn.read(new Uint8Array(1))), null);
    assertEquals((await client.ended()).code, 0);
  },
);

Deno.test("page.ts stays on loopback when DENO_SERVE_ADDRESS says otherwise", async () => {
  const { code, stderr } = await run("tcp_server.ts", ["--explain=page"], {
    env: { DENO_SERVE_ADDRESS: "tcp:0.0.0.0:0" },
  });
  const why = "DENO_SERVE_ADDRESS puts it elsewhere; unset that";
  const said = `tcp_server: Cannot show the page on 127.0.0.1:0: ${why}\n`;
  assertEquals([code, stderr], [1, said]);
});

Deno.test(
  "page.ts fits a window of 400 pixels, dark or light",
  BROWSER,
  async () => {
    await using server = start("tcp_server.ts", [ANY_PORT, "--explain=page"]);
    const port = await server.port();
    await using browser = await Browsing.open(await addressOfPage(server));
    const { page } = browser;
    await ask(port, "x".repeat(5000));
    await browser.sees("#text li", /close the connection/);
    const colours = [];
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: 400, height: 800 });
      await page.locator("g.receive text").last().click();
      colours.push(
        await page.evaluate("getComputedStyle(document.body).backgroundColor"),
      );
      assertEquals(await page.evaluate("document.body.scrollWidth"), 400);
      // Of a long message the page has the beginning.
      await browser.sees("#bytes", /the first 1024 of \d+ bytes/);
    }
    assertEquals(colours, ["rgb(255, 255, 255)", "rgb(20, 24, 29)"]);
  },
);
