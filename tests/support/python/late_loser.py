"""A web server on two addresses: the first one lets nobody in at first.

Comes back when it listens, and serves one client in the background: takes its
connection to the second address, then makes room on the first, and says on
standard error what comes there and how long it stays open.
"""
import os
import select
import socket
import sys
import time

first, second = sys.argv[1:3]


def listen(host, backlog):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, 80))
    server.listen(backlog)
    server.settimeout(20)
    return server


full = listen(first, 0)
# It takes one more than it is told to; after that, no answer to a SYN.
fillers = [socket.socket(full.family) for _ in range(2)]
for filler in fillers:
    filler.setblocking(False)
    filler.connect_ex((first, 80))
filled = sorted(filler.getsockname()[1] for filler in fillers)
server = listen(second, 5)
if os.fork():
    os._exit(0)

conn, _ = server.accept()
conn.settimeout(10)
while not (data := conn.recv(4096)).endswith(b"\r\n\r\n"):
    if not data:
        sys.exit("it asked for nothing")
end = time.monotonic() + 3
open_conns = {}
while (left := end - time.monotonic()) > 0:
    # Who was refused tries again one second after the first time.
    ready, _, _ = select.select([full, *open_conns], [], [], left)
    for one in ready:
        if one is full:
            late, peer = full.accept()
            if peer[1] not in filled:
                open_conns[late] = time.monotonic()
        elif not one.recv(4096):
            since = open_conns.pop(one)
            print(f"closed {time.monotonic() - since:.3f}", file=sys.stderr)
print(f"left open: {len(open_conns)}", file=sys.stderr)
conn.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
conn.close()
