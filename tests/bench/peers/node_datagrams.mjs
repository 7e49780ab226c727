// Datagrams as one sends and counts them with Node's dgram.
//   node_datagrams.mjs receive PORT             until nothing comes for a second
//   node_datagrams.mjs send PORT SIZE COUNT
import { createSocket } from "node:dgram";

const [mode, port, size, count] = process.argv.slice(2);
const socket = createSocket("udp4");
if (mode === "receive") {
  let received = 0;
  let seen = 0;
  socket.on("message", () => received++);
  socket.bind(Number(port), "127.0.0.1", () => console.log("Listening"));
  const timer = setInterval(() => {
    if (received > 0 && received === seen) {
      console.log(received);
      clearInterval(timer);
      socket.close();
    }
    seen = received;
  }, 1000);
} else {
  const payload = Buffer.alloc(Number(size), "x");
  let left = Number(count);
  const next = () => {
    if (left-- > 0) socket.send(payload, Number(port), "127.0.0.1", next);
    else socket.close();
  };
  next();
}
