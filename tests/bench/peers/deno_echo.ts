// The shortest echo server for Deno. Argument: the port.
const listener = Deno.listen({ port: Number(Deno.args[0]) });
for await (const conn of listener) {
  conn.readable.pipeTo(conn.writable).catch(() => {});
}
