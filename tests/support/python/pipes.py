"""Runs a command with a pipe that is read late, or after it has begun never again.

    pipes.py unread 2 COMMAND...         what a SIGTERM is passed on to
    pipes.py unread terminal COMMAND...  all three, as after Ctrl-S
    pipes.py late 1 COMMAND...           non-blocking, as a parent may make it
"""
import fcntl, os, pty, re, signal, subprocess, sys, time

how, number, *command = sys.argv[1:]
reader, writer = pty.openpty() if number == "terminal" else os.pipe()
if how == "late":
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
names = {"1": ["stdout"], "2": ["stderr"]}
outputs = dict.fromkeys(names.get(number, ["stdin", "stdout", "stderr"]), writer)
child = subprocess.Popen(command, **outputs)
os.close(writer)
signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
if how == "unread" and number != "1":
    text = b""
    while not re.search(rb"(Listening|Connected).*\n", text):
        text += os.read(reader, 1)
    os.write(2, text.splitlines()[-1])
if how == "late":
    time.sleep(1)
    while piece := os.read(reader, 65_536):
        os.write(1, piece)
sys.exit(child.wait())
