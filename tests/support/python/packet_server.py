"""Receives packets of 512 bytes from one client, and sends each one back."""
import socket
import sys

SIZE = 512
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

server = socket.socket(family, socket.SOCK_STREAM)
server.bind((host, 0))
server.listen(1)
print("listening on port", server.getsockname()[1], file=sys.stderr)

connection, address = server.accept()
packet = connection.recv(SIZE)
while packet:
    print("a packet of", len(packet), "bytes")
    connection.send(packet)
    packet = connection.recv(SIZE)
connection.close()
