"""Run a command on a terminal of its own and pass on what goes in and out: ``terminal.py COMMAND ARGUMENT…``."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

ROWS, COLUMNS = 24, 80


def main() -> int:
    """Run it to its end; its exit code, 128 + n after signal n."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvp(sys.argv[1], sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: os.killpg(pid, number))
    sources = [0, terminal]
    while terminal in sources:
        for source in select.select(sources, [], [])[0]:
            try:
                data = os.read(source, 65536)
            except OSError:  # nobody has the terminal open any more
                data = b""
            if not data:
                sources.remove(source)
                continue
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(1 if source == terminal else terminal, rest) :]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    status = main()
    sys.exit(128 - status if status < 0 else status)
