/** socat as client of our server and as server of our client. */
import { assert, assertEquals } from "@std/assert";
import { installed } from "../support/helpers.ts";
import {
  clientAt,
  endsWell,
  listening,
  NETWORKS,
  noise,
  type Peer,
  type Place,
  same,
  testAsClient,
  testAsServer,
  testOver,
  TLS,
  UNIX,
} from "../support/peers.ts";

function target({ over, host, port, certificates }: Place): string {
  switch (over) {
    case "IPv4":
      return `TCP4:${host}:${port}`;
    case "IPv6":
      return `TCP6:[${host}]:${port}`;
    case "a unix socket":
      return `UNIX-CONNECT:${host}`;
    case "TLS":
      return `OPENSSL:${host}:${port},commonname=localhost,cafile=${
        certificates!.ca.certFile
      }`;
  }
}

function source({ over, host, port, certificates }: Place): string {
  switch (over) {
    case "IPv4":
      return `TCP4-LISTEN:${port},bind=${host}`;
    case "IPv6":
      return `TCP6-LISTEN:${port},bind=[${host}]`;
    case "a unix socket":
      return `UNIX-LISTEN:${host}`;
    case "TLS": {
      const { certFile, keyFile } = certificates!.good;
      const identity = `cert=${certFile},key=${keyFile},verify=0`;
      return `OPENSSL-LISTEN:${port},bind=${host},${identity}`;
    }
  }
}

const SOCAT: Peer = {
  program: "socat",
  missing: !installed("socat", "-V"),
  places: [...NETWORKS, UNIX, TLS],
  // It waits half a second for the other direction unless told otherwise.
  connect: (place) => ["-t5", "-", target(place)],
  listen: (place) => ["-d", "-d", "-t5", source(place), "-"],
  ready: /listening on AF=(?:1 |\d+ \S+:(\d+))/,
};

testAsClient(SOCAT);
testAsServer(SOCAT);

/** Instead of its standard input and output, something of its own. */
const doing = (action: string): Peer => ({
  ...SOCAT,
  listen: (place) => [...SOCAT.listen(place).slice(0, -1), action],
});

testOver(
  SOCAT.places,
  "tcp_client.ts gets its bytes back when socat echoes them",
  SOCAT.missing,
  async (place) => {
    const sent = noise(1_000_000);
    // Not PIPE: socat waits for room in its own pipe, which it alone empties.
    const [server, at] = await listening(doing("EXEC:cat"), place);
    await using _ = server;
    await using client = clientAt(at, [], { input: sent });
    const { code, bytes, stderr } = await client.ended();
    assertEquals([code, stderr], [0, ""]);
    assert(same(bytes, sent));
  },
);

testOver(
  NETWORKS,
  "tcp_client.ts prints the reply when socat sends it 700 ms after the end",
  SOCAT.missing,
  async (place) => {
    const late = doing("SYSTEM:cat >/dev/null; sleep 0.7; echo a late reply");
    const [server, at] = await listening(late, place);
    await using _ = server;
    await using client = clientAt(at, [], { input: "hi\n" });
    assertEquals(await endsWell(client), "a late reply\n");
  },
);
