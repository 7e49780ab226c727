"""Says one line to an echo server and prints the answer. Argument: the port."""
import socket
import sys

with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as conn:
    conn.sendall(b"hello\n")
    conn.shutdown(socket.SHUT_WR)
    while data := conn.recv(1024):
        sys.stdout.buffer.write(data)
