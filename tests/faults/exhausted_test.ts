/** More clients than the server has file descriptors for. */
import { assert, assertEquals } from "@std/assert";
import { Running, SCRIPTS, within } from "../support/helpers.ts";
import { ANY_PORT, report, RUDE, rude, Server, short } from "./support.ts";

/** How long the shortage lasts, in milliseconds. */
const SHORTAGE = 5000;

/** Starts a server that may have so few descriptors. */
async function serverWithin(descriptors: number): Promise<Server> {
  const limit = `ulimit -n ${descriptors}; exec "$@"`;
  const running = new Running("sh", [
    ...["-c", limit, "sh", Deno.execPath(), "run", "--quiet", "--no-prompt"],
    ...["--allow-net", `${SCRIPTS}/tcp_server.ts`, ANY_PORT],
  ]);
  return new Server(running, await running.port());
}

Deno.test(
  "tcp_server.ts neither spins nor leaves when it is out of descriptors",
  RUDE,
  async () => {
    await using server = await serverWithin(64);
    await using clients = rude("hold", server.port, 100);
    await clients.stdout("held");
    await server.running.stderr("Cannot accept");
    const before = await server.cpu();
    await new Promise((resolve) => setTimeout(resolve, SHORTAGE));
    const used = await server.cpu() - before;

    // The next client waits behind 100, of which as many have to go as wait.
    using next = await Deno.connect({ port: server.port });
    await next.write(new TextEncoder().encode("hello"));
    const start = performance.now();
    await clients.type("\n".repeat(100));
    assertEquals(await within(next.read(new Uint8Array(16))), 5);
    const milliseconds = performance.now() - start;
    assert(await server.serves() < 1500);

    server.running.process.kill("SIGTERM");
    next.close();
    const { code, stderr } = await server.running.ended();
    assertEquals(code, 0);
    const complaints = stderr.split("\n").filter((line) =>
      line.startsWith("Cannot accept")
    );
    report(
      "out of descriptors for 5 s",
      `${used.toFixed(2)} s of CPU, ${complaints.length} complaints`,
      `served ${short(milliseconds)} ms after they were free`,
    );
    assert(used < 0.5, `It used ${used} s of CPU`);
    assert(complaints.length <= 10, stderr);
    assert(milliseconds < 1500, `It took ${milliseconds} ms`);
    assertEquals(
      complaints[0],
      "Cannot accept a connection: there are no file descriptors left; raise `ulimit -n`",
    );
  },
);
