"""Takes turns with one client: a message, an answer, until the client goes."""
import socket
import sys

host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

server = socket.socket(family, socket.SOCK_STREAM)
server.bind((host, 0))
server.listen(2)
print("listening on port", server.getsockname()[1], file=sys.stderr)

conn, address = server.accept()
while True:
    data = conn.recv(1024).decode()
    if not data:
        break
    print("from the client: " + data)
    answer = input(" -> ")
    conn.send(answer.encode())

conn.close()
