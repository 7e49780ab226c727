/** TLS where the other side does not speak it, or does not come to the point. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  hasOpenssl,
  makeCertificates,
  startWithTls,
} from "../support/certificates.ts";
import { bytes, readAll, run, text, within } from "../support/helpers.ts";
import { writeAll } from "../support/sockets.ts";
import { serverWith } from "./support.ts";

Deno.test(
  "tcp_server.ts serves others over TLS when clients speak plainly, rubbish or not at all",
  {
    ignore: !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good);
    const port = await server.port();
    const silent: Deno.Conn[] = [];
    for (let i = 0; i < 50; i++) silent.push(await Deno.connect({ port }));
    for (
      const rude of ["GET / HTTP/1.0\r\n\r\n", "\x16\x03\x01\x02", "\0\0\0\0"]
    ) {
      using conn = await Deno.connect({ port });
      await writeAll(conn, bytes(rude));
      await conn.closeWrite();
      await within(readAll(conn).catch(() => {}));
    }
    await server.stderr("dropped: the peer does not speak TLS");
    const caCerts = [made.ca.cert];
    const place = { hostname: "127.0.0.1", port, caCerts };
    using honest = await within(Deno.connectTls(place));
    await writeAll(honest, bytes("hello"));
    await honest.closeWrite();
    assertEquals(text(await within(readAll(honest))), "hello");
    for (const conn of silent) conn.close();
    server.process.kill("SIGTERM");
    assertEquals((await server.ended()).code, 0);
  },
);

Deno.test("tcp_client.ts says why when it speaks TLS to a plain server", async () => {
  await using server = await serverWith();
  const { code, stderr } = await run("tcp_client.ts", [
    `tls://127.0.0.1:${server.port}`,
    ...["--send", "hello"],
  ]);
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    `Cannot connect to tls://127.0.0.1:${server.port}`,
  );
  assertEquals(stderr.trimEnd().split("\n").length, 1);
  await server.serves();
});
