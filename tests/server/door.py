"""Carries one connection of the guest's: standard input and output to the address that stands in a file.

    door.py FILE          # qemu starts it, once a connection
"""

import contextlib
import os
import socket
import sys
import threading


def main() -> None:
    try:
        with open(sys.argv[1]) as address:
            host, port = address.read().strip().rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), 30)
    except (OSError, ValueError):
        return  # closed at once: nobody is there
    connection.settimeout(None)

    def back() -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                while data:
                    data = data[os.write(1, data):]
        os._exit(0)

    answers = threading.Thread(target=back)
    answers.start()
    with contextlib.suppress(OSError):
        while data := os.read(0, 1 << 16):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
