"""Everything configurable, from the environment or `.env`, checked at start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.keys import Key, KeyFault, Role, Who, read_key, split_keys

_DATABASES = ("sqlite:///", "postgresql://", "postgres://")
_PLACEHOLDERS = ("<", "change", "your-", "your_", "placeholder", "todo", "xxx")
_SANDBOX_FILLS = ("STAMPED_API_PUBLIC_KEY", "STAMPED_API_PRIVATE_KEY", "STAMPED_API_STORE_HASH")
_OF_A_STORE = (*_SANDBOX_FILLS, "IPAAS_WEBHOOK_API_KEY")
ABSENT = "absent"  # where connections are to say it
SANDBOX_DATABASE = "sqlite:///data/sandbox.db"  # so that nothing of a sandbox is ever taken for a store's
_OTHER_NAMES = {
    "STAMPED_API_PUBLIC_KEY": "STAMPED_API_USER",
    "STAMPED_API_PRIVATE_KEY": "STAMPED_API_PASSWORD",
}


class SettingsFault(Exception):
    """The service cannot start; `lines` has one readable line per fault, without any value."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _checked_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        sound = parts.port is None or parts.port > 0
    except ValueError:  # its text would show the value
        sound = False
    if not sound or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.username:
        reason = "must be an address such as https://stamped.io, without user name and query"
        raise PydanticCustomError("url", reason)
    return value.rstrip("/")


def _checked_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text or text.lower().startswith(_PLACEHOLDERS):
        raise PydanticCustomError("placeholder", "must be a real key, not blank and not a placeholder")
    if not text.isprintable() or not text.isascii():
        raise PydanticCustomError("characters", "may only have printable ASCII characters")
    return SecretStr(text)


def _checked_user(value: SecretStr) -> SecretStr:
    if ":" in value.get_secret_value():
        raise PydanticCustomError("characters", "must not have a colon, which ends the user name in HTTP Basic")
    return value


def _checked_secrets(value: SecretStr) -> SecretStr:
    parts = split_keys(value.get_secret_value())
    return SecretStr(",".join(_checked_secret(SecretStr(part)).get_secret_value() for part in parts or [""]))


def _checked_keys(value: SecretStr) -> SecretStr:
    """Keys of people; each may have a name before its first colon."""
    try:
        keys = [read_key("viewer", part) for part in split_keys(value.get_secret_value()) or [""]]
    except KeyFault as fault:
        raise PydanticCustomError("key", str(fault)) from None
    for key in keys:
        _checked_secret(SecretStr(key.secret))
    if len({key.secret for key in keys}) < len(keys):
        raise PydanticCustomError("twice", "has the same key twice")
    return value


def _checked_database_url(value: str) -> str:
    if not value.startswith(_DATABASES):
        raise PydanticCustomError("database", "must be a SQLite file or a PostgreSQL database")
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


Url = Annotated[str, AfterValidator(_checked_url)]
Secret = Annotated[SecretStr, AfterValidator(_checked_secret)]
Secrets = Annotated[SecretStr, AfterValidator(_checked_secrets)]
Keys = Annotated[SecretStr, AfterValidator(_checked_keys)]
Seconds = Annotated[float, Field(gt=0, le=120)]


class Settings(BaseSettings):
    """Names are those of the environment in lower case; a description says what to set."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    stamped_api_url: Url = Field("https://stamped.io", description="the address of Stamped.io's API")
    stamped_api_public_key: Annotated[Secret, AfterValidator(_checked_user)] = Field(
        validation_alias=AliasChoices("STAMPED_API_PUBLIC_KEY", "STAMPED_API_USER"),
        description="the public key of the Stamped.io store (also accepted as STAMPED_API_USER)",
    )
    stamped_api_private_key: Secret = Field(
        validation_alias=AliasChoices("STAMPED_API_PRIVATE_KEY", "STAMPED_API_PASSWORD"),
        description="the private key of the Stamped.io store (also accepted as STAMPED_API_PASSWORD)",
    )
    stamped_api_store_hash: Annotated[str, Field(min_length=1, pattern=r"^[^\s/?#]+$")] = Field(
        description="the store hash of the Stamped.io store, such as 270392"
    )
    stamped_concurrent_connections: Annotated[int, Field(ge=1, le=1000)] = Field(
        10, description="how many calls may run at once, 1 to 1000"
    )
    stamped_timeout_seconds: Seconds = Field(15, description="the seconds one call may take, up to 120")
    stamped_api_throttle_limit: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(
        500,
        description="how many calls may begin in a window of STAMPED_API_THROTTLE_SECONDS, all replicas together",
    )
    stamped_api_throttle_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        60, description="the seconds in which STAMPED_API_THROTTLE_LIMIT calls may begin"
    )
    stamped_subscribe_email_in: Literal["body", "query"] = Field(
        "body", description="body or query: where subscribe and unsubscribe carry the e-mail"
    )

    ipaas_webhook_api_key: Secrets = Field(
        description="the key that iPaaS.com sends to /webhooks; several, separated by commas, during rotation"
    )
    operator_api_key: Keys = Field(
        description="the key of everything an operator uses; several, separated by commas, each as name:key"
    )
    viewer_api_key: Keys | None = Field(
        None, description="the key of who may look and not act; several, separated by commas, each as name:key"
    )
    ipaas_api_url: Url | None = Field(
        None, description="the address of iPaaS.com's Customers API, such as https://api.ipaas.com/customers"
    )
    ipaas_api_token: Secret | None = Field(None, description="the token for IPAAS_API_URL")
    ipaas_client_id: str | None = Field(None, description="sent to iPaaS.com as X-Client-Id")

    subscription_field: str | None = Field(None, description="the name of the custom field that holds consent")
    connections_file: Path | None = Field(None, description="the path of a file of connections (TOML)")
    mapping_file: Path | None = Field(None, description="the path of a mapping file (TOML)")

    database_url: Annotated[str, AfterValidator(_checked_database_url)] = Field(
        "sqlite:///data/ipaas-stamped.db", description="sqlite:///path/to/file.db or postgresql://host/database"
    )
    retention_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        30, description="the days after which records of finished transfers are deleted"
    )
    retry_unit_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        600, description="the seconds that try n of a 202 is followed after, times n·(n+1)"
    )
    response_timeout_seconds: Seconds = Field(25, description="the seconds a caller is kept waiting, up to 120")
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Literal["json", "console"] = Field("json", description="json, or console for people")

    sandbox_url: str | None = Field(None, exclude=True, validation_alias="ipaas-stamped sandbox url")

    @model_validator(mode="before")
    @classmethod
    def _fill_for_sandbox(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Without any Stamped.io key, and only where the starter offers a sandbox, use that."""
        url = data.get("sandbox_url")
        given = {name.upper() for name, value in data.items() if value}
        if url is None or given & {*_SANDBOX_FILLS, *_OTHER_NAMES.values()}:
            return {name: value for name, value in data.items() if name != "sandbox_url"}
        return {
            "STAMPED_API_PUBLIC_KEY": "pubkey-sandbox",
            "STAMPED_API_PRIVATE_KEY": "key-sandbox",
            "stamped_api_store_hash": "270392",
            "ipaas_webhook_api_key": "sandbox-webhook-key",
            "operator_api_key": "sandbox-operator-key",
            "database_url": SANDBOX_DATABASE,
            **data,
            "stamped_api_url": url,
        }

    @model_validator(mode="before")
    @classmethod
    def _leave_to_connections(cls, data: dict[str, Any]) -> dict[str, Any]:
        """With CONNECTIONS_FILE each connection is asked for what it needs."""
        given = {name.upper(): value for name, value in data.items()}
        if not given.get("CONNECTIONS_FILE"):
            return data
        missing = [name for name in _OF_A_STORE if not {name, _OTHER_NAMES.get(name)} & given.keys()]
        return data | {_given_as(name.lower()): ABSENT for name in missing}

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.ipaas_api_url and not self.ipaas_api_token:
            raise PydanticCustomError("together", "IPAAS_API_TOKEN is missing: IPAAS_API_URL needs it")
        if self.sandbox_url and self.ipaas_api_url:
            reason = (
                "STAMPED_API_PUBLIC_KEY is missing: with IPAAS_API_URL set, the sandbox would link real customers"
            )
            raise PydanticCustomError("together", reason)
        self._check_doors()
        return self

    def _check_doors(self) -> None:
        """A key opens one door."""
        names = {"webhook": "IPAAS_WEBHOOK_API_KEY", "operator": "OPERATOR_API_KEY", "viewer": "VIEWER_API_KEY"}
        opens: dict[str, Role] = {}
        webhook = [Key(Who("webhook", "webhook"), secret) for secret in self.webhook_keys]
        for key in (*webhook, *self.keys):
            role = opens.setdefault(key.secret, key.who.role)
            if role != key.who.role:
                raise PydanticCustomError("together", f"{names[key.who.role]} must differ from {names[role]}")

    @property
    def webhook_keys(self) -> list[str]:
        """Each key that opens the webhook."""
        return split_keys(self.ipaas_webhook_api_key.get_secret_value())

    @property
    def keys(self) -> list[Key]:
        """Each key of a person, and whose it is."""
        people: dict[Role, SecretStr | None] = {"operator": self.operator_api_key, "viewer": self.viewer_api_key}
        return [
            read_key(role, part)
            for role, value in people.items()
            for part in (split_keys(value.get_secret_value()) if value else ())
        ]

    def for_connection(self, values: dict[str, Any]) -> Settings:
        """With these settings of a connection instead. Raises pydantic.ValidationError."""
        mine = {name: getattr(self, name) for name in self.model_fields_set}
        known = {name: value for name, value in mine.items() if not is_absent(value)} | values
        given = {_given_as(name): value for name, value in known.items()}
        return Settings(_env_file=None, **given | {"connections_file": None})


def _given_as(field: str) -> str:
    """A field with other names goes by its first one."""
    return field.upper() if field.upper() in _OTHER_NAMES else field


def is_absent(value: Any) -> bool:
    """Whether connections are to say it."""
    return (value.get_secret_value() if isinstance(value, SecretStr) else value) == ABSENT


def load_settings(**overrides: Any) -> Settings:
    """From the environment and `.env`. Raises SettingsFault."""
    try:
        return Settings(**overrides)
    except UnicodeDecodeError:
        raise SettingsFault([".env is not usable: it is not UTF-8; save it as UTF-8."]) from None
    except ValidationError as error:
        raise SettingsFault(
            [line_of(fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        ) from None


def line_of(location: tuple[int | str, ...], kind: str, message: str, *, lower: bool = False) -> str:
    """What is wrong with a setting, and what to set; `lower`: as a file of connections writes names."""
    if not location:
        return message
    name = str(location[0]).upper()
    fields = {field.upper(): info for field, info in Settings.model_fields.items()}
    original = {other: first for first, other in _OTHER_NAMES.items()}
    info = fields.get(original.get(name, name))
    what = (info.description if info else None) or "a value"
    shown = name.lower() if lower else name
    if kind == "missing":
        return f"{shown} is missing: set {what}."
    reason = message[:1].lower() + message[1:]
    return f"{shown} is not usable: {reason}; set {what}."
