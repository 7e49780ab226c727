/** Scripts that tell what their sockets do. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { run, start } from "../support/helpers.ts";

/** The names of the steps in what was told. */
function stepsIn(told: string): string[] {
  return [...told.matchAll(/^ +[\d.]+ ms {2}(\S+)/gm)].map(([, name]) => name);
}

Deno.test("tcp_server.ts and tcp_client.ts tell the life of a connection when they explain", async () => {
  await using server = start("tcp_server.ts", [
    ...["127.0.0.1:0", "--once", "--explain", "-f", "lines"],
  ]);
  const port = await server.port();
  const { code, stdout, stderr } = await run("tcp_client.ts", [
    ...[`127.0.0.1:${port}`, "--explain"],
  ], { input: "hello\n" });
  // The payload stays what it was.
  assertEquals({ code, stdout }, { code: 0, stdout: "hello\n" });
  const told = stepsIn(stderr);
  assertEquals(told.slice(0, 3), ["create", "connect", "send"]);
  // The echo may be there before the end of the input is.
  assertEquals(told.slice(3, -1).toSorted(), [
    ...["half-close", "receive", "receive"],
  ]);
  assertEquals(told.at(-1), "close");
  assertEquals(stepsIn((await server.ended()).stderr), [
    ...["create", "bind", "listen", "accept", "close"],
    ...["receive", "send", "receive", "close"],
  ]);
});

Deno.test("udp_sender.ts and udp_receiver.ts tell of datagrams when they explain", async () => {
  await using receiver = start("udp_receiver.ts", [
    ...["127.0.0.1:0", "--count", "1", "--explain"],
  ]);
  const port = await receiver.port();
  const { stderr } = await run("udp_sender.ts", [
    ...[`127.0.0.1:${port}`, "hello", "--explain"],
  ]);
  assertEquals(stepsIn(stderr), ["create", "bind", "send", "close"]);
  const told = (await receiver.ended()).stderr;
  assertEquals(stepsIn(told), ["create", "bind", "receive", "close"]);
});

Deno.test("google_connect.ts tells of each step when it explains", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("hello"),
  );
  const { code, stderr } = await run("google_connect.ts", [
    ...[`127.0.0.1:${server.addr.port}`, "--explain"],
  ]);
  assertEquals(code, 0, stderr);
  assertEquals(stepsIn(stderr), [
    ...["create", "connect", "send", "receive", "close"],
  ]);
  assertStringIncludes(stderr, '"HEAD / HTTP/1.1\\r"…');
});
