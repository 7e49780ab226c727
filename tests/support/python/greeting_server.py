"""Thanks every client for connecting, and hangs up."""
import socket
import sys

host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

s = socket.socket(family, socket.SOCK_STREAM)
s.bind((host, 0))
s.listen(5)
print("listening on port", s.getsockname()[1], file=sys.stderr)

while True:
    c, addr = s.accept()
    print("got a connection from", addr)
    c.send(b"Thank you for connecting")
    c.close()
