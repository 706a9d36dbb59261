"""Several worker processes of one uvicorn: whether this is one, what they share, and how all of them end."""

from __future__ import annotations

import atexit
import fcntl
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final, NoReturn

from uvicorn.config import STARTUP_FAILURE, Config

_NAME = "ipaas-stamped-workers-"
_LIVES, _TOLD = "lives", "told"
_LONGEST_SECONDS = 10.0
_held: Final[dict[Path, int]] = {}  # folders that this process is in, and their locks


def count() -> int:
    """How many uvicorn runs, where this process is one of them; else 1."""
    given = vars(multiprocessing.current_process()).get("_kwargs") or {}
    config = given.get("config")
    return config.workers if isinstance(config, Config) and not config.reload else 1


def folder() -> Path:
    """The folder of this process and its siblings, for no other user. Gone when the last of them leaves.

    Raises OSError where no temporary file can be written.
    """
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_NAME}*"):
        _remove(left)
    secret = bytes(multiprocessing.current_process().authkey)  # the same in all children of one parent
    mine = parent / f"{_NAME}{sha256(secret).hexdigest()[:24]}"
    while not _enter(mine):
        pass
    return mine


def leave() -> None:
    """Out of the folder. Idempotent."""
    while _held:
        mine, lock = _held.popitem()
        os.close(lock)
        _remove(mine)


def end(lines: list[str], code: int) -> NoReturn:
    """Say why this cannot start, and end; as one of several: once for all, and the parent starts none again."""
    if count() == 1:
        _say(lines)
        sys.exit(code)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if not _is_ending():
        if _is_first():
            _say(lines)
            os.kill(os.getppid(), signal.SIGTERM)
        signal.sigtimedwait({signal.SIGTERM}, _LONGEST_SECONDS)  # who comes meanwhile is to find that it was said
    sys.exit(STARTUP_FAILURE)  # which ends the parent, too


def _is_first() -> bool:
    try:
        (folder() / _TOLD).touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:  # no folder at all: better twice than never
        return True
    return True


def _is_ending() -> bool:
    """Whether the parent has sent SIGTERM; uvicorn may have noted it already."""
    noted = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return signal.SIGTERM in signal.sigpending() or bool(getattr(noted, "should_exit", False))


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - before there are logs, and for people


def _enter(mine: Path) -> bool:
    """False = it was just being removed."""
    mine.mkdir(mode=0o700, exist_ok=True)
    try:
        lock = os.open(mine / _LIVES, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return False
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not _is(lock, mine / _LIVES):
        os.close(lock)
        return False
    _held[mine] = lock
    atexit.register(leave)
    return True


def _remove(folder: Path) -> None:
    """If nobody is in it any more, and it is ours."""
    try:
        if folder.lstat().st_uid != os.geteuid():
            return
        lock = os.open(folder / _LIVES, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
