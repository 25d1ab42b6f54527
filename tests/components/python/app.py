"""A command as a WASI 0.2 component, made with componentize-py: sums a column of its dataset, then tries what the sandbox refuses.

All modules are imported here, because a component holds those that were imported when it was made. `encodings.idna` is what
Python uses for names of hosts.
"""

import csv
import encodings.idna  # noqa: F401
import errno
import json
import os
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path

from wit_world import exports

ADDRESS = ("192.0.2.1", 443)


def attempt(name, act):
    """Prints the error that an attempt ends with; for sockets and files, the name of its number."""
    try:
        print(f"{name}: got {act()!r}")
    except OSError as error:
        reason = getattr(error, "reason", error)
        print(f"{name}: {type(error).__name__} {errno.errorcode.get(reason.errno, reason.errno)}")
    except Exception as error:
        print(f"{name}: {type(error).__name__}")


class Run(exports.Run):
    def run(self):
        [did] = json.loads(os.environ["DIDS"])
        source = Path("/data/inputs", did, "0")
        with source.open(newline="") as file:
            masses = [float(row["mass"]) for row in csv.DictReader(file)]
        result = Path("/data/outputs/sum.json")
        result.write_text(json.dumps({"rows": len(masses), "sum": sum(masses)}))
        print("variables:", *sorted(os.environ))

        attempt("TCP", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        attempt("TCP over IPv6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        attempt("UDP", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        attempt("connect", lambda: socket.create_connection(ADDRESS))
        attempt("listen", lambda: socket.create_server(("", 443)))
        attempt("look up", lambda: socket.getaddrinfo("example.com", 443))
        attempt("download", lambda: urllib.request.urlopen("http://192.0.2.1/"))
        attempt("change the dataset", lambda: source.write_text("x"))
        attempt("read an output", result.read_text)
        attempt("read a file of the machine", lambda: Path("/etc/passwd").read_text())
        attempt("start a process", lambda: subprocess.run(["ls"]))
        attempt("start a thread", threading.Thread(target=print).start)
