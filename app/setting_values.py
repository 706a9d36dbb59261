"""How the value of a setting has to look. What is wrong is told without the value."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import idna
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from app.alert_urls import read_targets
from app.keys import LEAST_CHARACTERS, KeyFault, read_key, split_keys

_LONGEST: Final = 2000  # of an address, and of a path
_LONGEST_SECRET: Final = 8000  # more is no header that servers take
_LONGEST_WORD: Final = 200
_DATABASES = ("sqlite:///", "postgresql://", "postgres://")
_PLACEHOLDERS = ("<", "change", "your-", "your_", "placeholder", "todo", "xxx")
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_LONGEST_HOST: Final = 253
_NUMBERS = re.compile(r"[0-9.]+")
_STORE_HASH = re.compile(r"[^\s/%?#\\]{1,100}")


def _checked_proxies(value: str) -> str:
    """Uvicorn takes what is no address for a name, which then never matches."""
    for each in value.split(","):
        try:
            ip_network(each.strip(), strict=False)
        except ValueError:
            if value.strip() != "*":
                raise PydanticCustomError(
                    "proxies", "must be addresses or networks, separated by commas, or *"
                ) from None
    return value.strip()


def is_loopback(host: str) -> bool:
    """Whether this is the same machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None  # Python looks at it since 3.13
    return (mapped or address).is_loopback


def is_at_hand(url: str) -> bool:
    """Whether an address leads to the same machine."""
    return is_loopback(urlsplit(url).hostname or "")


def _is_host(host: str, *, bracketed: bool) -> bool:
    try:
        if bracketed:
            return "%" not in host and bool(IPv6Address(host))
        if _NUMBERS.fullmatch(host):
            return bool(ip_address(host))
        name = host if host.isascii() else idna.encode(host.lower()).decode()
    except ValueError:  # idna's, too
        return False
    return len(name) <= _LONGEST_HOST and bool(_HOST.fullmatch(name))


def _is_address(value: str) -> bool:
    if len(value) > _LONGEST or not value.isprintable() or any(each in value for each in " \\?#@"):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # its text would show the value
        return False
    sound = parts.scheme in {"http", "https"} and port != 0 and not parts.netloc.endswith(":")
    return sound and _is_host(parts.hostname or "", bracketed="[" in parts.netloc)


def _checked_url(value: str) -> str:
    if not _is_address(value):
        reason = "must be an address such as https://stamped.io, without user name, query, fragment and blanks"
        raise PydanticCustomError("url", reason)
    return value.rstrip("/")


def _checked_way(value: str) -> str:
    """Keys and records go there."""
    if not value.lower().startswith("https:") and not is_at_hand(value):
        raise PydanticCustomError("https", "must begin with https://, unless it is on this machine")
    return value


def _checked_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or text.lower().startswith(_PLACEHOLDERS):
        raise PydanticCustomError("placeholder", "must be a real key, not blank and not a placeholder")
    if not text.isprintable() or not text.isascii():
        raise PydanticCustomError("characters", "may only have printable ASCII characters")
    if len(text) > _LONGEST_SECRET:
        raise PydanticCustomError("long", f"is longer than {_LONGEST_SECRET} characters")
    return SecretStr(text)


def _checked_user(value: SecretStr) -> SecretStr:
    if ":" in value.get_secret_value():
        raise PydanticCustomError("characters", "must not have a colon, which ends the user name in HTTP Basic")
    return value


def _checked_own(text: str) -> str:
    """A key that opens this service."""
    text = _checked_secret(SecretStr(text)).get_secret_value()
    if len(text) < LEAST_CHARACTERS:
        raise PydanticCustomError("short", f"must have {LEAST_CHARACTERS} characters or more, each key of it")
    return text


def _checked_secrets(value: SecretStr) -> SecretStr:
    parts = split_keys(value.get_secret_value())
    return SecretStr(",".join(_checked_own(part) for part in parts or [""]))


def _checked_keys(value: SecretStr) -> SecretStr:
    """Keys of people; each may have a name before its first colon."""
    try:
        keys = [read_key("viewer", part) for part in split_keys(value.get_secret_value()) or [""]]
    except KeyFault as fault:
        raise PydanticCustomError("key", str(fault)) from None
    for key in keys:
        _checked_own(key.secret)
    if len({key.secret for key in keys}) < len(keys):
        raise PydanticCustomError("twice", "has the same key twice")
    return value


def _checked_alert_urls(value: SecretStr) -> SecretStr:
    """What is wrong is told by its place: a URL is a secret."""
    bad = [str(number) for number, each in enumerate(read_targets(value.get_secret_value()), 1) if each is None]
    if bad:
        which = f"number {bad[0]} is no URL" if len(bad) == 1 else f"numbers {', '.join(bad)} are no URLs"
        raise PydanticCustomError("alert_urls", f"{which} that Apprise knows")
    return value


def _checked_store_hash(value: str) -> str:
    if not _STORE_HASH.fullmatch(value) or not value.isprintable() or value in {".", ".."}:
        reason = "must be 1 to 100 printable characters, without blanks, slashes and any of % ? #"
        raise PydanticCustomError("store_hash", reason)
    return value


def _checked_database_url(value: str) -> str:
    if not value.startswith(_DATABASES):
        raise PydanticCustomError("database", "must be a SQLite file or a PostgreSQL database")
    if not value.isprintable() or value != value.strip() or len(value) > _LONGEST:
        reason = f"may only have printable characters, {_LONGEST} at most, and no blanks around them"
        raise PydanticCustomError("characters", reason)
    return value


def _checked_header(value: str) -> str:
    value = value.strip()
    if not value.isprintable() or not value.isascii() or not 0 < len(value) <= _LONGEST_WORD:
        reason = f"must be 1 to {_LONGEST_WORD} printable ASCII characters"
        raise PydanticCustomError("characters", reason)
    return value


def _checked_word(value: str) -> str:
    if not value.isprintable() or not 0 < len(value.strip()) <= _LONGEST_WORD:
        raise PydanticCustomError("characters", f"must be 1 to {_LONGEST_WORD} printable characters")
    return value


def _checked_path(value: Path) -> Path:
    if not str(value).isprintable() or len(str(value)) > _LONGEST:
        raise PydanticCustomError("characters", f"must be a path of {_LONGEST} printable characters at most")
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Upper = BeforeValidator(_upper)
Url = Annotated[str, AfterValidator(_checked_url)]
SafeUrl = Annotated[Url, AfterValidator(_checked_way)]
Secret = Annotated[SecretStr, AfterValidator(_checked_secret)]
UserName = Annotated[Secret, AfterValidator(_checked_user)]
Secrets = Annotated[SecretStr, AfterValidator(_checked_secrets)]
Keys = Annotated[SecretStr, AfterValidator(_checked_keys)]
AlertUrls = Annotated[SecretStr, AfterValidator(_checked_alert_urls)]
StoreHash = Annotated[str, AfterValidator(_checked_store_hash)]
DatabaseUrl = Annotated[str, AfterValidator(_checked_database_url)]
Header = Annotated[str, AfterValidator(_checked_header)]
Word = Annotated[str, AfterValidator(_checked_word)]
File = Annotated[Path, AfterValidator(_checked_path)]
Port = Annotated[int, Field(ge=1, le=65535)]
Proxies = Annotated[str, AfterValidator(_checked_proxies)]
Seconds = Annotated[float, Field(gt=0, le=120)]
