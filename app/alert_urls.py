"""Targets of alerts, by the URLs of the library Apprise. It is loaded only where a target is set: it is large."""

from __future__ import annotations

import functools
import logging
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app.keys import LEAST_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANSWER_LIMIT: Final = 64 * 1024  # bytes; what became of a message is said by the status
_BETWEEN: Final = re.compile(r"[/:@?&=,]+")
_TALKERS: Final = ("apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib")


@dataclass(frozen=True, slots=True)
class Target:
    """One; `number` from 1, as they are written. Nothing in here shows its URL, which is a secret."""

    number: int
    service: str
    _sender: Any

    def send(self, title: str, text: str) -> bool:
        """Whether it took the message. Blocks; raises whatever a plugin raises."""
        return bool(self._sender.notify(body=text, title=title, body_format="text"))


def read_targets(urls: str) -> list[Target | None]:
    """In their order; None = this one cannot be used."""
    for name in _TALKERS:  # what they have to say quotes URLs
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    targets: list[Target | None] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its plugins ask Python for what will be gone some day
        import apprise  # noqa: PLC0415 - 25 MB of memory and a fifth of a second, with its plugins as much again

        _cut_answers()
        asset = apprise.AppriseAsset(app_id="ipaas-stamped", app_desc="iPaaS.com to Stamped.io", async_mode=False)
        for number, url in enumerate(urls.split(), 1):
            sender = apprise.Apprise(asset=asset)
            targets.append(Target(number, str(sender[0].service_name), sender) if sender.add(url) else None)
    return targets


@functools.cache
def _cut_answers() -> None:
    """Apprise has `requests` read each answer into memory, whatever its size. Idempotent."""
    import requests  # noqa: PLC0415 - it comes with Apprise, and is no other's

    response: Any = requests.Response
    whole = response.iter_content

    def cut(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        read = 0
        for chunk in whole(self, *args, **kwargs):
            yield chunk
            read += len(chunk)
            if read >= _ANSWER_LIMIT:
                self.close()
                return

    response.iter_content = cut


def secrets_in(urls: str) -> list[str]:
    """The URLs, and their parts that are long enough for a key."""
    parts = (part for url in urls.split() for part in (url, *_BETWEEN.split(url)))
    return [part for part in parts if len(part) >= LEAST_CHARACTERS]
