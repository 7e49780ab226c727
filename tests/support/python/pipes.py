"""Runs a command with a pipe that is read late, or after a line never again.

    pipes.py unread 2 COMMAND...     what a SIGTERM is passed on to
    pipes.py late 1 COMMAND...       non-blocking, as a parent may make it
"""
import fcntl, os, signal, subprocess, sys, time

how, number, *command = sys.argv[1:]
reader, writer = os.pipe()
if how == "late":
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
outputs = {"stdout" if number == "1" else "stderr": writer}
child = subprocess.Popen(command, **outputs)
os.close(writer)
signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
if how == "unread" and number == "2":
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(reader, 1)
    os.write(2, line)
if how == "late":
    time.sleep(1)
    while piece := os.read(reader, 65_536):
        os.write(1, piece)
sys.exit(child.wait())
