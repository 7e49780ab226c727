/** A real HAProxy in front of two of our servers. */
import { assert, assertEquals } from "@std/assert";
import { closedPort, installed, Running, start } from "../support/helpers.ts";
import { Client } from "../support/sharing.ts";
import { connectWhenReady } from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

const MISSING = !installed("haproxy", "-v");

/** Starts HAProxy; gives it and its port. */
async function balance(
  servers: number[],
  send: string,
): Promise<[Running, number]> {
  const port = closedPort();
  const lines = servers.map((to, index) =>
    `  server s${index} 127.0.0.1:${to} check inter 200ms ${send}`
  );
  const config = `
defaults
  mode tcp
  timeout connect 10s
  timeout check 10s
  timeout client 1m
  timeout server 1m
  # A server that refuses is left for the other one.
  retries 3
  option redispatch 1

listen balancer
  bind 127.0.0.1:${port}
  maxconn 100
  balance roundrobin
${lines.join("\n")}
`;
  const args = ["-db", "-f", "/dev/stdin"];
  const haproxy = new Running("haproxy", args, { input: config });
  (await connectWhenReady(port)).close();
  return [haproxy, port];
}

const VERSIONS = {
  "version 1": "send-proxy",
  "version 2": "send-proxy-v2",
  "version 2 with a checksum": "send-proxy-v2 proxy-v2-options crc32c",
};

for (const [version, send] of Object.entries(VERSIONS)) {
  Deno.test(
    `tcp_server.ts knows its clients when HAProxy tells of them in ${version}, also after another server has stopped`,
    {
      ...needs("signals"),
      ignore: MISSING || !has("signals"),
    },
    async () => {
      const args = ["127.0.0.1:0", "--proxy-protocol", "--grace", "50ms"];
      await using one = start("tcp_server.ts", args);
      await using two = start("tcp_server.ts", [...args, "--framing", "lines"]);
      const ports = [await one.port(), await two.port()];
      const [haproxy, port] = await balance(ports, send);
      await using _ = haproxy;

      using clients = new DisposableStack();
      const connect = async () => clients.use(await Client.connect(port));
      const before = [await connect(), await connect(), await connect()]
        .concat(await connect());
      const ofOne = before.filter(({ framing }) => framing === "raw");
      const ofTwo = before.filter(({ framing }) => framing === "lines");
      assert(ofOne.length > 0 && ofTwo.length > 0, "one server had no client");
      for (const { name } of ofOne) await one.stderr(`${name} connected`);
      for (const { name } of ofTwo) await two.stderr(`${name} connected`);

      one.process.kill("SIGTERM");
      assertEquals((await one.ended()).code, 0);
      for (const client of ofOne) assertEquals(await client.ask(), undefined);
      for (const client of ofTwo) assertEquals(await client.ask(), "lines");
      for (let i = 0; i < 4; i++) {
        const { name, framing } = await connect();
        assertEquals(framing, "lines");
        await two.stderr(`${name} connected`);
      }
      const log = await two.stderr("");
      assert(!log.includes("refused"), log);
    },
  );
}
