"""Send SIGHUP to the exporter or the relay in the same pod whenever its config file has changed."""

import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path

NAME = "exchange-export"  # a process's name as the kernel keeps it: its first 15 characters


def content(file: Path) -> str:
    """Give the hash of a file; "" while it is not there, as in the moment of a swap."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def tell() -> tuple[int, str]:
    """Send the signal to every process of that name; give how many there were, and what failed."""
    told, refused = 0, ""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == NAME:
                os.kill(int(comm.parent.name), signal.SIGHUP)
                told += 1
        except PermissionError:
            refused = "the process runs as another user: give both containers the same runAsUser"
        except OSError:  # it ended meanwhile
            continue
    return told, refused or ("" if told else f"no process is called {NAME}")


def watch(file: Path, every: float) -> None:
    """Look at the file every so many seconds, for ever. What fails is said once and tried again."""
    seen, said = content(file), ""
    while True:
        time.sleep(every)
        now = content(file)
        if not now or now == seen:
            continue
        told, failed = tell()
        if told:
            seen, said = now, ""
            print(f"config_reload_sent sha256={now[:12]}", flush=True)
        elif failed != said:
            said = failed
            print(f"config_reload_failed sha256={now[:12]} reason={failed!r}", flush=True)


watch(Path(sys.argv[1]), float(sys.argv[2]))
