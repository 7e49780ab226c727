"""Says each question; answers with an IPv4 address, or not at all."""
import ctypes, signal, socket, sys

ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # ends with the script under test
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", file=sys.stderr, flush=True)
while True:
    query, peer = server.recvfrom(512)
    print("asked", file=sys.stderr, flush=True)
    if len(sys.argv) == 1:
        continue
    end = 12
    while query[end]:
        end += query[end] + 1
    is_a = query[end + 1 : end + 3] == b"\0\1"
    address = socket.inet_aton(sys.argv[1])
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + address if is_a else b""
    counts = b"\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
    body = query[12 : end + 5]
    server.sendto(query[:2] + b"\x81\x80" + counts + body + record, peer)
