// The shortest client for Deno that says a line and prints the answer.
const conn = await Deno.connect({ port: Number(Deno.args[0]) });
await conn.write(new TextEncoder().encode("hello\n"));
await conn.closeWrite();
await conn.readable.pipeTo(Deno.stdout.writable);
