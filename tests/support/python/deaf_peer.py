"""Listens on a unix socket, reads no more at once, and then talks slowly.

On a unix socket shutdown(SHUT_RD) makes every write of the peer fail, while the
other direction goes on: what TCP does between two machines, too, when one has
sent a reset that has not arrived yet.
"""
import socket
import sys
import time

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("listening", flush=True)
conn, _ = server.accept()
conn.recv(1)
conn.shutdown(socket.SHUT_RD)
for word in sys.argv[2:]:
    time.sleep(0.05)
    conn.sendall(word.encode())
conn.close()
