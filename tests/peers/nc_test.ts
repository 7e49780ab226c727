/** nc, OpenBSD's, as client of our server and as server of our client. */
import { text } from "../support/helpers.ts";
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

/** Others of that name have no `-N`, or mean something else by it. */
function halfCloses(): boolean {
  try {
    const { stderr } = new Deno.Command("nc", { args: ["-h"] }).outputSync();
    return /-N\s+Shutdown the network socket/.test(text(stderr));
  } catch {
    return false;
  }
}
