// The fastest small client for Deno that says a line and prints the answer.
const conn = await Deno.connect({ port: Number(Deno.args[0]) });
await conn.write(new TextEncoder().encode("hello\n"));
await conn.closeWrite();
const buffer = new Uint8Array(1024);
for (let n; (n = await conn.read(buffer)) !== null;) {
  await Deno.stdout.write(buffer.subarray(0, n));
}
conn.close();
