/** udp_sender.ts and udp_receiver.ts with programs that others wrote. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { COPIES, installed, run, Running, start } from "../support/helpers.ts";
import { freeUdpPort } from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

const HELLO = "Hello, my name is Henry";

function python(source: string, ...args: string[]): Running {
  return new Running("python3", ["-u", "-c", source, ...args]);
}

const PYTHON_RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
print("ready", file=sys.stderr)
data, peer = s.recvfrom(1024)
print(data.decode(), end="")
s.sendto(b"nice to meet you", peer)
`;

const PYTHON_SENDER = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(sys.argv[2].encode(), ("127.0.0.1", int(sys.argv[1])))
s.settimeout(20)
print(s.recvfrom(1024)[0].decode(), end="")
`;

Deno.test({
  name: "udp_sender.ts reaches Python's recvfrom(1024), and hears its answer",
  ignore: !installed("python3", "-V"),
  async fn() {
    const port = freeUdpPort();
    await using receiver = python(PYTHON_RECEIVER, `${port}`);
    await receiver.stderr("ready");
    const { code, stdout, stderr } = await run("udp_sender.ts", [
      `127.0.0.1:${port}`,
      HELLO,
      ...["--replies", "1", "--wait", "20s"],
    ]);
    assertEquals([code, stdout], [0, "nice to meet you"]);
    assertStringIncludes(stderr, `from udp://127.0.0.1:${port}`);
    assertEquals((await receiver.ended()).stdout, HELLO);
  },
});

Deno.test({
  name: "udp_receiver.ts hears Python's sendto, and answers it with --echo",
  ignore: !installed("python3", "-V"),
  async fn() {
    const args = ["127.0.0.1:0", "--count", "1", "--echo"];
    await using receiver = start("udp_receiver.ts", args);
    const port = await receiver.port();
    await using sender = python(PYTHON_SENDER, `${port}`, HELLO);
    assertEquals((await sender.ended()).stdout, HELLO);
    assertEquals((await receiver.ended()).stdout, HELLO);
  },
});

/** Whether nc is the one of OpenBSD: there are several, with other flags. */
function openBsdNetcat(): boolean {
  if (!installed("nc", "-h")) return false;
  const { stderr } = new Deno.Command("nc", { args: ["-h"] }).outputSync();
  return new TextDecoder().decode(stderr).includes("OpenBSD");
}

Deno.test({
  name: "udp_sender.ts reaches nc -lu, and hears its answer",
  ignore: !openBsdNetcat(),
  async fn() {
    const port = freeUdpPort();
    const args = ["-v", "-n", "-l", "-u", "127.0.0.1", `${port}`];
    await using receiver = new Running("nc", args, { input: "open" });
    await receiver.stderr("Bound on");
    const to = `127.0.0.1:${port}`;
    const options = [to, HELLO, "--replies", "1", "--wait", "20s"];
    await using sender = start("udp_sender.ts", options);
    await receiver.stdout(HELLO);
    await receiver.type("hello Henry\n");
    const { stdout } = await sender.ended();
    assertEquals(stdout, "hello Henry\n");
  },
});

Deno.test({
  name: "udp_receiver.ts hears nc -u",
  ignore: !openBsdNetcat(),
  async fn() {
    await using receiver = start("udp_receiver.ts", [
      "127.0.0.1:0",
      "--count",
      "1",
    ]);
    const to = ["-u", "127.0.0.1", `${await receiver.port()}`];
    await using _sender = new Running("nc", to, { input: `${HELLO}\n` });
    assertEquals((await receiver.ended()).stdout, `${HELLO}\n`);
  },
});

Deno.test({
  name: "udp_sender.ts reaches socat UDP-RECV",
  ignore: !installed("socat", "-V"),
  async fn() {
    const port = freeUdpPort();
    const address = `UDP-RECV:${port},bind=127.0.0.1`;
    const args = ["-d", "-d", "-u", address, "STDOUT"];
    await using receiver = new Running("socat", args);
    await receiver.stderr("starting data transfer loop");
    await run("udp_sender.ts", [`127.0.0.1:${port}`, HELLO]);
    assertEquals(await receiver.stdout(HELLO), HELLO);
  },
});

Deno.test({
  name: "udp_receiver.ts hears socat UDP-SENDTO",
  ignore: !installed("socat", "-V"),
  async fn() {
    await using receiver = start("udp_receiver.ts", [
      "127.0.0.1:0",
      "--count",
      "1",
    ]);
    const to = `UDP-SENDTO:127.0.0.1:${await receiver.port()}`;
    await using sender = new Running("socat", ["-u", "-", to], {
      input: HELLO,
    });
    await sender.ended();
    assertEquals((await receiver.ended()).stdout, HELLO);
  },
});

/** A group that no other test, or run of it, has joined. */
function anyGroup(): string {
  const part = () => 1 + Math.floor(Math.random() * 254);
  return `239.${part()}.${part()}.${part()}`;
}

Deno.test(
  "two udp_receiver.ts hear one udp_sender.ts in a multicast group",
  {
    ...needs("loopbackGroups"),
    ignore: COPIES || !has("loopbackGroups"),
  },
  async () => {
    const group = anyGroup();
    const place = `:${freeUdpPort()}`;
    const args = [place, "--join", `${group}@127.0.0.1`, "--count", "1"];
    await using one = start("udp_receiver.ts", args);
    await using two = start("udp_receiver.ts", args);
    // Bound to every address instead of the group's.
    const open = ["0.0.0.0" + place, ...args.slice(1)];
    await using three = start("udp_receiver.ts", open);
    const receivers = [one, two, three];
    for (const receiver of receivers) await receiver.port();
    await run("udp_sender.ts", [
      `${group}${place}`,
      "to all",
      "--bind",
      "127.0.0.1",
    ]);
    for (const receiver of receivers) {
      assertEquals((await receiver.ended()).stdout, "to all");
    }
  },
);
