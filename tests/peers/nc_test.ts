/** nc, OpenBSD's, as client of our server and as server of our client. */
import { assertEquals } from "@std/assert";
import { bytes, readAll, run, text, within } from "../support/helpers.ts";
import { serving } from "../support/sockets.ts";
import {
  NETWORKS,
  type Peer,
  type Place,
  testAsClient,
  testAsServer,
  UNIX,
} from "../support/peers.ts";

const where = ({ over, host, port }: Place) =>
  over === "a unix socket" ? ["-U", host] : [host, String(port)];

const NC: Peer = {
  program: "nc",
  missing: !halfCloses(),
  places: [...NETWORKS, UNIX],
  connect: (place) => ["-N", ...where(place)],
  listen: (place) => ["-lvN", ...where(place)],
  ready: /Listening on (?:\/|\S+ (\d+))/,
};

testAsClient(NC);
testAsServer(NC);

/** What one of them is given to send, and what then comes. */
for (
  const input of [
    ...["", "a", "\n", "\r", "\r\n", "\n\n\n", "a\r\n\n\r\r\nb\n\rc\r"],
    ...["GET / HTTP/1.0\nHost: x\r\n\n", "\0\xff\n".repeat(900)],
  ]
) {
  Deno.test(
    `tcp_client.ts --crlf sends what nc -C sends when it is given ${
      JSON.stringify(input.slice(0, 30))
    }`,
    {
      ignore: NC.missing,
    },
    async () => {
      const sent: Uint8Array[] = [];
      await using server = serving(async (conn) => {
        sent.push(await readAll(conn));
      });
      const ours = await run("tcp_client.ts", [server.address, "--crlf"], {
        input,
      });
      const nc = new Deno.Command("nc", {
        args: ["-C", "-N", "127.0.0.1", String(server.port)],
        stdin: "piped",
      }).spawn();
      const writer = nc.stdin.getWriter();
      if (input) await writer.write(bytes(input));
      await writer.close();
      await within(nc.status);
      assertEquals(ours.code, 0);
      assertEquals(sent[0], sent[1]);
    },
  );
}

/** Others of that name have no `-N`, or mean something else by it. */
function halfCloses(): boolean {
  try {
    const { stderr } = new Deno.Command("nc", { args: ["-h"] }).outputSync();
    return /-N\s+Shutdown the network socket/.test(text(stderr));
  } catch {
    return false;
  }
}
