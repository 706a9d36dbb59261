"""Server processes of the benchmark: pinned to a core, measured by the kernel's own counters."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED, as in clock_getcpuclockid(3)
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.005
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Cores:
    """One for the services, the other for everything around them."""

    service: int
    load: int

    @classmethod
    def found(cls) -> Cores:
        """The first and the last core that this process may use."""
        usable = os.sched_getaffinity(0)
        return cls(min(usable), max(usable))


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, and how many seconds it took from its start to its first good answer."""

    process: subprocess.Popen[bytes]
    url: str
    start_seconds: float

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.process.pid)

    def rss_mib(self) -> float:
        """Resident memory now."""
        return rss_mib(self.process.pid)

    def kill(self) -> None:
        """`kill -9`: for one that would finish what nobody waits for."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)


def cpu_seconds(pid: int) -> float:
    """User and system time of any process so far."""
    return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)


def busy_seconds(core: int) -> float:
    """Of one core so far, whoever it worked for; what the hypervisor gave to others counts, too."""
    line = next(
        each
        for each in Path("/proc/stat").read_text(encoding="ascii").splitlines()
        if each.startswith(f"cpu{core} ")
    )
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, line.split()[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / _TICKS


def rss_mib(pid: int) -> float:
    """Resident memory of any process now."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 2**20


@contextmanager
def running(
    module: list[str], core: int, folder: Path, environment: dict[str, str], ready: str
) -> Iterator[Server]:
    """`python -m module… --port N` on a free port of 127.0.0.1, until `ready` answers; its log is in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    with (folder / f"{port}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", *module, "--port", str(port)],
            cwd=folder,
            env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            os.sched_setaffinity(process.pid, {core})
            url = f"http://127.0.0.1:{port}"
            _await(process, url + ready, began + _START_SECONDS)
            yield Server(process, url, time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)


def _await(process: subprocess.Popen[bytes], url: str, deadline: float) -> None:
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            message = f"the server of {url} ended with exit code {process.returncode}"
            raise RuntimeError(message)
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - loopback
        except OSError:
            time.sleep(_LOOK_SECONDS)
        else:
            return
    message = f"{url} did not answer within {_START_SECONDS:g} s"
    raise TimeoutError(message)
