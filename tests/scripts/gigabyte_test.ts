/** A stream piped through our client and back from our echo server: 64 MiB, or 1 GiB with `-- --long`. */
import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import { SCRIPTS, start, within } from "../support/helpers.ts";
import { noise } from "../support/peers.ts";

const MIB = 1_048_576;
const LENGTH = (Deno.args.includes("--long") ? 1024 : 64) * MIB;

Deno.test(`tcp_client.ts gets the same sha256 back when ${LENGTH / MIB} MiB are piped through the echo server`, async () => {
  await using server = start("tcp_server.ts", ["127.0.0.1:0"]);
  const address = `127.0.0.1:${await server.port()}`;
  await using client = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--allow-net"],
      ...[`${SCRIPTS}/tcp_client.ts`, address],
    ],
    cwd: new URL("../../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [sent, received] = await within(Promise.all([
    generate(client.stdin),
    digest(client.stdout),
  ]));
  assertEquals(received, sent);
  assertEquals((await client.status).code, 0);
});

/** Writes blocks of noise, each of them different; gives their sha256. */
async function generate(to: WritableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  const block = noise(MIB);
  const number = new DataView(block.buffer);
  const writer = to.getWriter();
  for (let i = 0; i < LENGTH / MIB; i++) {
    number.setUint32(0, i);
    hash.update(block);
    await writer.write(block);
  }
  await writer.close();
  return hash.digest("hex");
}

async function digest(from: ReadableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of from) hash.update(chunk);
  return hash.digest("hex");
}
