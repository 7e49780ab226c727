"""Clients that do what no honest client does, and a terminal to look at.

Each function is a subcommand; its arguments follow it on the command line.
"""

import os
import pty
import select
import selectors
import socket
import struct
import sys
import termios
import time

HOST = "127.0.0.1"


def connect(port):
    return socket.create_connection((HOST, int(port)))


def reset(client):
    """Closes with RST, as a program does that crashes or a port scan."""
    linger = struct.pack("ii", 1, 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.close()


def storm(port, times):
    """Connects and resets at once."""
    for _ in range(int(times)):
        reset(connect(port))


def scan(port, times):
    """Connects and leaves, by turns with FIN and with RST, without a byte."""
    for i in range(int(times)):
        client = connect(port)
        if i % 2:
            reset(client)
        else:
            client.close()


def crowd(port, number):
    """Connects as often as a crowd does, all at once; all leave at a line."""
    clients = []
    for _ in range(int(number)):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((HOST, int(port)))
        clients.append(client)
    print("here", flush=True)
    sys.stdin.readline()
    for client in clients:
        client.close()
    print("gone", flush=True)


def vanish(port, times):
    """Is gone in the middle of a message: in its length, or after it."""
    for i in range(int(times)):
        client = connect(port)
        client.sendall((b"\0\0", b"\0\0\1\0half of it")[i % 2])
        if i % 4 < 2:
            reset(client)
        else:
            client.close()


def hold(port, number):
    """Connects so often, says what came of it, and lets one go a line."""
    clients = [connect(port) for _ in range(int(number))]
    print("held", flush=True)
    for _ in sys.stdin:
        clients.pop(0).close()
        print("freed", flush=True)


def flood(port, number, seconds, piece):
    """Sends without ever reading."""
    piece = piece.encode().decode("unicode_escape").encode("latin-1")
    block = piece * (65536 // len(piece))
    selector = selectors.DefaultSelector()
    for _ in range(int(number)):
        client = connect(port)
        client.setblocking(False)
        selector.register(client, selectors.EVENT_WRITE, [0])
    end = time.monotonic() + float(seconds)
    sent = 0
    while time.monotonic() < end:
        for key, _ in selector.select(0.05):
            try:
                # From where the last one stopped: messages stay whole.
                written = key.fileobj.send(block[key.data[0]:])
            except BlockingIOError:
                continue
            except OSError:
                selector.unregister(key.fileobj)
                continue
            sent += written
            key.data[0] = (key.data[0] + written) % len(block)
    print("flooded", sent, flush=True)
    sys.stdin.read()


def terminal(*command):
    """Runs a command at a terminal and passes on what that would obey."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    # What the program writes comes out as it is, and no key is echoed.
    modes = termios.tcgetattr(master)
    modes[1] &= ~termios.OPOST
    modes[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(master, termios.TCSANOW, modes)
    sources = [master, 0]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if master in ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            os.write(1, data)
        if 0 in ready:
            data = os.read(0, 65536)
            if data:
                os.write(master, data)
            else:
                sources.remove(0)
    _, status = os.waitpid(pid, 0)
    sys.exit(os.waitstatus_to_exitcode(status) & 255)


globals()[sys.argv[1]](*sys.argv[2:])
