/** ncat, nmap's, as client of our server and as server of our client. */
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

const where = ({ over, host, port }: Place) =>
  over === "a unix socket" ? ["-U", host] : [host, String(port)];

/** Without `--ssl-verify` it trusts everyone. */
const trust = ({ certificates }: Place) =>
  certificates
    ? [
      ...["--ssl", "--ssl-verify", "--ssl-servername", "localhost"],
      ...["--ssl-trustfile", certificates.ca.certFile],
    ]
    : [];

const identity = ({ certificates }: Place) =>
  certificates
    ? [
      ...["--ssl", "--ssl-cert", certificates.good.certFile],
      ...["--ssl-key", certificates.good.keyFile],
    ]
    : [];

const NCAT: Peer = {
  program: "ncat",
  missing: !installed("ncat", "--version"),
  places: [...NETWORKS, UNIX, TLS],
  connect: (place) => [...trust(place), ...where(place)],
  listen: (place) => ["-lv", ...identity(place), ...where(place)],
  ready: /Listening on /,
  needsPort: true,
  leaves: true,
  abrupt: true,
};

testAsClient(NCAT);
testAsServer(NCAT);

testOver(
  [TLS],
  "tcp_client.ts sends all that there is when ncat has nothing to say",
  NCAT.missing,
  async (place) => {
    const sent = noise(1_000_000);
    const [server, at] = await listening(NCAT, place, { input: "open" });
    await using _ = server;
    await using client = clientAt(at, [], { input: sent });
    assertEquals(await endsWell(client), "");
    assert(same((await server.ended()).bytes, sent));
  },
);

// With more in flight `ncat -e` blocks, and it drops what comes after the end.
testOver(
  [...NETWORKS, UNIX],
  "tcp_client.ts gets its bytes back when ncat runs cat",
  NCAT.missing,
  async (place) => {
    const listen = (at: Place) => ["-e", "/bin/cat", ...NCAT.listen(at)];
    const [server, at] = await listening({ ...NCAT, listen }, place);
    await using _ = server;
    await using client = clientAt(at, [], { input: "open" });
    await client.type("to and fro\n");
    await client.stdout("to and fro\n");
    await client.stdin!.close();
    assertEquals(await endsWell(client), "to and fro\n");
  },
);
