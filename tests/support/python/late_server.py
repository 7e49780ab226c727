"""Reads all that one client has to say, thinks, and answers."""
import socket
import sys
import time

host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

with socket.socket(family, socket.SOCK_STREAM) as s:
    s.bind((host, 0))
    s.listen()
    print("listening on port", s.getsockname()[1], file=sys.stderr)
    conn, addr = s.accept()
    with conn:
        said = b""
        while data := conn.recv(1024):
            said += data
        time.sleep(0.7)
        conn.sendall(b"you said " + said)
