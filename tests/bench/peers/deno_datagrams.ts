// Datagrams as fast as Deno's calls allow, without any of our care.
//   deno_datagrams.ts receive PORT             until nothing comes for a second
//   deno_datagrams.ts send PORT SIZE COUNT
const [mode, port, size, count] = Deno.args;
const socket = Deno.listenDatagram({
  transport: "udp",
  hostname: "127.0.0.1",
  port: mode === "receive" ? Number(port) : 0,
});
if (mode === "receive") {
  let received = 0;
  let seen = 0;
  const timer = setInterval(() => {
    if (received > 0 && received === seen) {
      console.log(received);
      clearInterval(timer);
      socket.close();
    }
    seen = received;
  }, 1000);
  const buffer = new Uint8Array(65_536);
  try {
    for (;;) {
      await socket.receive(buffer);
      received++;
    }
  } catch {
    // It is closed.
  }
} else {
  const payload = new Uint8Array(Number(size)).fill(0x78);
  const to = {
    transport: "udp" as const,
    hostname: "127.0.0.1",
    port: Number(port),
  };
  for (let left = Number(count); left > 0; left--) {
    await socket.send(payload, to);
  }
  socket.close();
}
