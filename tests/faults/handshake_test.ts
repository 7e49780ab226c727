/** A TLS client that connects and does not begin to shake hands. */
import { assert, assertEquals } from "@std/assert";
import {
  hasOpenssl,
  makeCertificates,
  startWithTls,
} from "../support/certificates.ts";
import { text, within } from "../support/helpers.ts";
import { readToEnd, writeAll } from "../support/sockets.ts";

Deno.test(
  "tcp_server.ts drops a TLS client that is silent for 10 s, and serves the next",
  {
    ignore: !hasOpenssl,
  },
  async () => {
    await using made = await makeCertificates();
    await using server = startWithTls(made.good, "--max-connections", "1");
    const port = await server.port();
    const before = performance.now();
    using silent = await Deno.connect({ port });
    const name = `127.0.0.1:${silent.localAddr.port}`;
    await server.stderr(
      `${name} dropped: it did not finish the TLS handshake\n`,
    );
    const elapsed = performance.now() - before;
    assert(elapsed >= 9990 && elapsed < 25_000, `${elapsed} ms`);

    using honest = await within(Deno.connectTls({
      ...{ hostname: "127.0.0.1", port, caCerts: [made.ca.cert] },
    }));
    await within(writeAll(honest, "hello"));
    await honest.closeWrite();
    assertEquals(text(await within(readToEnd(honest))), "hello");
  },
);
