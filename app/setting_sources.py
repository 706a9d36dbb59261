"""Where settings come from: environment, `.env`, and the files that they name as `NAME_FILE`."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from errno import EFBIG, EINVAL
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ENV_FILE: Final = ".env"
_MOST_BYTES = 1024 * 1024
# Nobody else's names begin so. Words that others use, too, are here with what only we put behind them.
_OURS = (
    *("STAMPED_", "IPAAS_", "OPERATOR_API", "OPERATOR_KEY", "VIEWER_API", "VIEWER_KEY", "SUBSCRIPTION_FIELD"),
    *("MAPPING_FILE", "CONNECTIONS_FILE", "RETENTION_DAY", "RETRY_UNIT", "RESPONSE_TIMEOUT"),
)
# Platforms set names that begin so; in `.env`, which is written for us, a slip of the pen is told all the same.
_PLATFORMS = ("PORT", "LOG_", "DATABASE_", "ALERT_")
# Kubernetes and Docker set these for each service that a pod may talk to, and ours may be called `ipaas-stamped`.
_OF_SERVICES = re.compile(
    r".+_(?:SERVICE_(?:HOST|PORT(?:_.+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?|NAME|ENV_.+)"
)
_OF_TRACES = "OTEL_"
_ALIKE = 0.92


def given(env_file: str | Path | None = ENV_FILE) -> tuple[dict[str, str], dict[str, str]]:
    """What is set in the environment and in `.env`, by upper-case names; empty is not set.

    Raises OSError, and UnicodeDecodeError for a `.env` that is not UTF-8.
    """
    in_file: Mapping[str, str | None] = {}
    if env_file is not None and Path(env_file).is_file():
        in_file = dotenv_values(env_file, encoding="utf-8")
    environment, dotenv = (
        {name.upper(): value for name, value in each.items() if value} for each in (os.environ, in_file)
    )
    return environment, dotenv


def hand_on(in_file: Mapping[str, str]) -> None:
    """What `.env` says to OpenTelemetry, which reads the environment alone."""
    for name, value in in_file.items():
        if name.startswith(_OF_TRACES):
            os.environ.setdefault(name, value)


def unknown(
    environment: Collection[str], in_file: Collection[str], known: Collection[str]
) -> dict[str, tuple[str, str]]:
    """Names that are meant to be ours and are none: where each stands, and the nearest that exists."""
    found = {name: "the environment" for name in environment if _is_meant(name, known)}
    found |= {name: ENV_FILE for name in set(in_file) - set(environment) if _is_meant(name, known, written=True)}
    return {name: (where, nearest(name, known)) for name, where in sorted(found.items())}


def _is_meant(name: str, known: Collection[str], *, written: bool = False) -> bool:
    """`written`: for us alone."""
    if name in known or _OF_SERVICES.fullmatch(name):
        return False
    if name.startswith(_OURS):
        return True
    return (written or not name.startswith(_PLATFORMS)) and bool(get_close_matches(name, known, 1, _ALIKE))


def nearest(name: str, names: Collection[str]) -> str:
    """The one that is most like it."""
    return get_close_matches(name, sorted(names), 1, 0.0)[0]


def read_file(path: Path) -> bytes:
    """Raises OSError, also for what is no plain file and might never end, and ValueError for what is no path."""
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is no file")
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(EFBIG, "it is larger than 1 MiB")
    return content


def read_secret(path: Path) -> str:
    """What a file holds, without the line break at its end. Raises OSError and ValueError; `why` tells it."""
    try:
        text = read_file(path).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        message = "it is not UTF-8"
        raise ValueError(message) from None
    except ValueError:
        message = "this is no path"
        raise ValueError(message) from None
    if not text.strip():
        message = "it is empty"
        raise ValueError(message)
    return text


def why(error: OSError | ValueError) -> str:
    """What kept a file from being read, without its path and content."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)
