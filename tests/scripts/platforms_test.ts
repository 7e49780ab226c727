/** The scripts as whole processes that take this system for macOS or Windows. */
import { assertEquals, assertMatch } from "@std/assert";
import { bytes, run, Running, start } from "../support/helpers.ts";
import { listenHere } from "../support/sockets.ts";
import { needs } from "../support/system.ts";

const AS_SYSTEM = new URL("../support/as_system.ts", import.meta.url);

/** Permissions, and what makes a script take the system for another one. */
function as(os: "windows" | "darwin", ...permissions: string[]) {
  return { permissions: [...permissions, "--preload", `${AS_SYSTEM}?${os}`] };
}

for (const os of ["windows", "darwin"] as const) {
  Deno.test(`tcp_server.ts refuses --reuse-port when it is on ${os}`, async () => {
    const options = as(os, "--allow-net", "--unstable-net");
    const args = ["127.0.0.1:0", "--reuse-port"];
    const { code, stderr } = await run("tcp_server.ts", args, options);
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^tcp_server: Cannot listen on 127\.0\.0\.1:0: only on Linux .*\n$/,
    );
  });
}

Deno.test(
  "tcp_server.ts finishes what is open when Ctrl-Break is typed on Windows",
  needs("signals"),
  async () => {
    const options = as("windows", "--allow-net");
    await using server = start("tcp_server.ts", ["127.0.0.1:0"], options);
    using conn = await Deno.connect({ port: await server.port() });
    await conn.write(bytes("x"));
    await conn.read(new Uint8Array(1));
    server.process.kill("SIGUSR1"); // which stands for SIGBREAK
    await server.stderr("Stopping");
    server.process.kill("SIGUSR1");
    assertEquals((await server.ended()).code, 149);
  },
);

Deno.test("tcp_client.ts says how long a refusal takes when it does not wait for one on Windows", async () => {
  // It accepts the connection, but never shakes hands over TLS.
  using listener = listenHere();
  const address = `tls://localhost:${listener.addr.port}`;
  const args = [address, "--check", "--timeout", "300ms"];
  const here = await run("tcp_client.ts", args);
  assertMatch(here.stderr, /: no answer within 0\.3s\n$/);
  const options = as("windows", "--allow-net");
  const { code, stderr } = await run("tcp_client.ts", args, options);
  assertEquals(code, 1);
  assertMatch(stderr, /: no answer within 0\.3s; Windows takes 2s to .*\n$/);
});

/** Starts a script at a terminal; its standard output may be redirected. */
function atTerminalOn(os: "windows" | "darwin", script: string, to = "") {
  const deno = [Deno.execPath(), "run", "--quiet", ...as(os).permissions];
  const words = [...deno, "--allow-net", "--unstable-net", `scripts/${script}`];
  const terminal = new URL("../support/python/terminal.py", import.meta.url);
  const shell = ["bash", "-c", `exec "$@" ${to}`, "bash", ...words];
  const options = { input: "open", env: { NO_COLOR: "" } } as const;
  return new Running("python3", [terminal.pathname, ...shell], options);
}

for (
  const [os, keys] of [
    ["windows", "Ctrl-Z and Enter end the input"],
    ["darwin", "Ctrl-D ends the input"],
  ] as const
) {
  Deno.test(
    `udp_sender.ts says what to type, and how that ends, when it is on ${os}`,
    needs("terminals", "bash"),
    async () => {
      await using running = atTerminalOn(os, "udp_sender.ts");
      const said = await running.stdout(keys);
      // There is no nc on Windows.
      assertEquals(said.includes("(or nc -u -l 8080)"), os !== "windows");
      await running.type("\x04");
      assertEquals((await running.ended()).code, 0);
    },
  );
}

for (const [os, painted] of [["windows", false], ["darwin", true]] as const) {
  Deno.test(
    `udp_sender.ts paints its log (${painted}) when only that is at a terminal on ${os}`,
    needs("terminals", "bash"),
    async () => {
      await using running = atTerminalOn(os, "udp_sender.ts", "> /dev/null");
      const said = await running.stdout(/ends? the input/);
      assertEquals(said.includes("\x1b["), painted);
      await running.type("\x04");
      assertEquals((await running.ended()).code, 0);
    },
  );
}
