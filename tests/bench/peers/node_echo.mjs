// An echo server as one writes it with Node's net. Argument: the port.
import { createServer } from "node:net";

createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.pipe(socket);
}).listen(Number(process.argv[2]), "127.0.0.1");
