/** Each script uses no more than the permission in its first lines. */
import { assertEquals } from "@std/assert";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { type Running, start, within } from "../support/helpers.ts";
import { writeAll } from "../support/sockets.ts";
import { ANY_PORT, onLinux } from "./support.ts";

const options = { ignore: !onLinux };
const withTls = { ignore: !onLinux || !hasOpenssl };

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

/** Sends a byte and waits for what comes back. */
async function exchange(conn: Deno.Conn): Promise<void> {
  await writeAll(conn, new Uint8Array(1));
  await within(conn.read(new Uint8Array(1)));
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
        await exchange(conn);
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
        using conn = await within(listener.accept());
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
        using conn = await within(listener.accept());
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

/** The three that a unix socket takes, as flags and as they are asked for. */
async function withSocketPath(
  meet: (path: string, flags: string[], needs: string[]) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/socket`;
    const flags = [
      `--allow-net=unix:${path}`,
      `--allow-read=${path}`,
      `--allow-write=${path}`,
    ];
    const needs = [`net unix:${path}`, `read ${path}`, `write ${path}`];
    await meet(path, flags, needs);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test(
  "tcp_server.ts asks for its unix socket and nothing else",
  options,
  () =>
    withSocketPath(async (path, flags, needs) => {
      const got = await asked(
        ...["tcp_server.ts", [`unix:${path}`]] as const,
        flags,
        async (server) => {
          await server.stderr("Listening on");
          using conn = await Deno.connect({ transport: "unix", path });
          await exchange(conn);
          conn.close();
          server.process.kill("SIGTERM");
        },
      );
      assertEquals(got.toSorted(), needs);
    }),
);

Deno.test(
  "tcp_client.ts asks for the server's unix socket and nothing else",
  options,
  () =>
    withSocketPath(async (path, flags, needs) => {
      using listener = Deno.listen({ transport: "unix", path });
      const got = await asked(
        ...["tcp_client.ts", [`unix:${path}`, "--send", "hello"]] as const,
        flags,
        async () => {
          using conn = await within(listener.accept());
          await within(conn.read(new Uint8Array(16)));
        },
      );
      assertEquals(got.toSorted(), needs);
    }),
);

Deno.test(
  "tcp_server.ts asks for its address and its two files and nothing else when it serves TLS",
  withTls,
  async () => {
    await using made = await makeCertificates();
    const { certFile, keyFile } = made.good;
    const place = `tls://${ANY_PORT}`;
    const got = await asked(
      ...["tcp_server.ts", [
        place,
        "--cert",
        certFile,
        "--key",
        keyFile,
      ]] as const,
      [`--allow-net=${ANY_PORT}`, `--allow-read=${certFile},${keyFile}`],
      async (server) => {
        using conn = await Deno.connectTls({
          hostname: "localhost",
          port: await server.port(),
          caCerts: [made.ca.cert],
        });
        await exchange(conn);
        conn.close();
        server.process.kill("SIGTERM");
      },
    );
    assertEquals(got.toSorted(), [
      `net ${ANY_PORT}`,
      ...[`read ${keyFile}`, `read ${certFile}`],
    ]);
  },
);

Deno.test(
  "tcp_client.ts asks for the server's address and its authority's file and nothing else when it speaks TLS",
  withTls,
  async () => {
    await using made = await makeCertificates();
    const { cert, key } = made.good;
    const local = { hostname: "127.0.0.1", port: 0 };
    using listener = Deno.listenTls({ ...local, cert, key });
    const place = `127.0.0.1:${listener.addr.port}`;
    const file = made.ca.certFile;
    const got = await asked(
      "tcp_client.ts",
      [`tls://${place}`, "--ca", file, "--send", "hello"],
      [`--allow-net=${place}`, `--allow-read=${file}`],
      async () => {
        using conn = await within(listener.accept());
        await within(conn.read(new Uint8Array(16)));
      },
    );
    assertEquals(got.toSorted(), [`net ${place}`, `read ${file}`]);
  },
);
