/** Each script uses no more than the permission in its first lines. */
import { assertEquals } from "@std/assert";
import { writeAll } from "../../lib/stream.ts";
import { type Running, start, within } from "../helpers.ts";
import { ANY_PORT, onLinux } from "./support.ts";

const options = { ignore: !onLinux };

/** Runs a script, and gives what it has asked Deno for. */
async function asked(
  script: string,
  args: readonly string[],
  permissions: string[],
  meet: (running: Running) => Promise<void> | void = () => {},
): Promise<string[]> {
  const file = await Deno.makeTempFile();
  try {
    {
      const env = { DENO_AUDIT_PERMISSIONS: file };
      await using running = start(script, [...args], { permissions, env });
      await meet(running);
      const { code, stderr } = await running.ended();
      assertEquals(code, 0, stderr);
    }
    const lines = (await Deno.readTextFile(file)).split("\n").filter(Boolean);
    const all = lines.map((line) => {
      const { permission, value } = JSON.parse(line);
      return `${permission} ${value}`;
    });
    return [...new Set(all)];
  } finally {
    await Deno.remove(file);
  }
}

Deno.test(
  "tcp_server.ts asks for its own address and nothing else",
  options,
  async () => {
    const got = await asked(
      ...["tcp_server.ts", [ANY_PORT]] as const,
      [`--allow-net=${ANY_PORT}`],
      async (server) => {
        using conn = await Deno.connect({ port: await server.port() });
        await writeAll(conn, new Uint8Array(1));
        await within(conn.read(new Uint8Array(1)));
        conn.close();
        server.process.kill("SIGTERM");
      },
    );
    assertEquals(got, [`net ${ANY_PORT}`]);
  },
);

Deno.test(
  "tcp_client.ts asks for the server's address and nothing else",
  options,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const place = `127.0.0.1:${listener.addr.port}`;
    const got = await asked(
      ...["tcp_client.ts", [place, "--send", "hello"]] as const,
      [`--allow-net=${place}`],
      async () => {
        using conn = await listener.accept();
        await within(conn.read(new Uint8Array(16)));
      },
    );
    assertEquals(got, [`net ${place}`]);
  },
);

Deno.test(
  "udp_receiver.ts asks for its own address and nothing else",
  options,
  async () => {
    const got = await asked(
      ...["udp_receiver.ts", [ANY_PORT, "--timeout", "50ms"]] as const,
      ["--unstable-net", `--allow-net=${ANY_PORT}`],
    );
    assertEquals(got, [`net ${ANY_PORT}`]);
  },
);

Deno.test(
  "udp_sender.ts asks for its own address and the peer's and nothing else",
  options,
  async () => {
    const got = await asked(
      ...["udp_sender.ts", ["127.0.0.1:9", "hello"]] as const,
      ["--unstable-net", "--allow-net=0.0.0.0:0,127.0.0.1:9"],
    );
    assertEquals(got, ["net 0.0.0.0:0", "net 127.0.0.1:9"]);
  },
);

Deno.test(
  "google_connect.ts asks for the server's address and nothing else",
  options,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const place = `127.0.0.1:${listener.addr.port}`;
    const got = await asked(
      ...["google_connect.ts", [place]] as const,
      [`--allow-net=${place}`],
      async () => {
        using conn = await listener.accept();
        await within(conn.read(new Uint8Array(1024)));
        await writeAll(
          conn,
          new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"),
        );
      },
    );
    assertEquals(got, [`net ${place}`]);
  },
);
