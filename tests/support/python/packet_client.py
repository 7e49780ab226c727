"""Sends a file by packets of 512 bytes, and reads each one back.

With "pad" the last packet is filled up with NUL bytes.
"""
import socket
import sys

SIZE = 512
host, port, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pad = sys.argv[4:] == ["pad"]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

client = socket.socket(family, socket.SOCK_STREAM)
client.connect((host, port))
with open(name, "rb") as file:
    packet = file.read(SIZE)
    while packet:
        if pad:
            packet = packet.ljust(SIZE, b"\0")
        client.send(packet)
        sys.stdout.buffer.write(client.recv(SIZE))
        packet = file.read(SIZE)
client.close()
