"""Everything configurable, from the environment or `.env`, checked at start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.keys import EXAMPLES, SANDBOX_OPERATOR_KEY, SANDBOX_WEBHOOK_KEY, Key, Role, Who, read_key, split_keys
from app.setting_sources import ENV_FILE
from app.setting_values import (
    AlertUrls,
    DatabaseUrl,
    File,
    Header,
    Keys,
    Port,
    Proxies,
    SafeUrl,
    Seconds,
    Secret,
    Secrets,
    StoreHash,
    Upper,
    UserName,
    Word,
    is_at_hand,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_SANDBOX_FILLS = ("STAMPED_API_PUBLIC_KEY", "STAMPED_API_PRIVATE_KEY", "STAMPED_API_STORE_HASH")
_OF_A_STORE = (*_SANDBOX_FILLS, "IPAAS_WEBHOOK_API_KEY")
ABSENT = "absent-a-connection-says-it"
AT_FAULT = "at-fault-and-told-already"  # stands in for a value, to find further faults
SANDBOX_DATABASE = "sqlite:///data/sandbox.db"  # so that nothing of a sandbox is ever taken for a store's
# These may be in files of their own: each secret, and the address that may hold a password.
IN_FILES = frozenset(
    {
        *("stamped_api_public_key", "stamped_api_private_key", "ipaas_webhook_api_key", "ipaas_api_token"),
        *("operator_api_key", "viewer_api_key", "database_url", "alert_urls"),
    }
)
OTHER_NAMES = {
    "STAMPED_API_PUBLIC_KEY": "STAMPED_API_USER",
    "STAMPED_API_PRIVATE_KEY": "STAMPED_API_PASSWORD",
}


class SettingsFault(Exception):
    """The service cannot start; `lines` has one readable line per fault, without any value.

    `sound`: what else is set, to find further faults; None = they cannot be looked for.
    """

    def __init__(self, lines: list[str], sound: Settings | None = None) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.sound = sound


class Settings(BaseSettings):
    """Names are those of the environment in lower case; a description says what to set."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
    )

    stamped_api_url: SafeUrl = Field("https://stamped.io", description="the address of Stamped.io's API")
    stamped_api_public_key: UserName = Field(
        validation_alias=AliasChoices("STAMPED_API_PUBLIC_KEY", "STAMPED_API_USER"),
        description="the public key of the Stamped.io store (also accepted as STAMPED_API_USER)",
    )
    stamped_api_private_key: Secret = Field(
        validation_alias=AliasChoices("STAMPED_API_PRIVATE_KEY", "STAMPED_API_PASSWORD"),
        description="the private key of the Stamped.io store (also accepted as STAMPED_API_PASSWORD)",
    )
    stamped_api_store_hash: StoreHash = Field(description="the store hash of the Stamped.io store, such as 270392")
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
    ipaas_api_url: SafeUrl | None = Field(
        None, description="the address of iPaaS.com's Customers API, such as https://api.ipaas.com/customers"
    )
    ipaas_api_token: Secret | None = Field(None, description="the token for IPAAS_API_URL")
    ipaas_client_id: Header | None = Field(None, description="the client id that iPaaS.com gets as X-Client-Id")

    alert_urls: AlertUrls | None = Field(
        None, description="where alerts go, as URLs of the library Apprise, separated by blanks"
    )

    subscription_field: Word | None = Field(None, description="the name of the custom field that holds consent")
    connections_file: File | None = Field(None, description="the path of a file of connections (TOML)")
    mapping_file: File | None = Field(None, description="the path of a mapping file (TOML)")

    database_url: DatabaseUrl = Field(
        "sqlite:///data/ipaas-stamped.db", description="sqlite:///path/to/file.db or postgresql://host/database"
    )
    database_pool_size: Annotated[int, Field(ge=4, le=1000)] = Field(
        10, description="how many connections to PostgreSQL a replica has, readers included, 4 to 1000"
    )
    retention_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        30, description="the days after which records of finished transfers are deleted"
    )
    retry_unit_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        600, description="the seconds that try n of a 202 is followed after, times n·(n+1)"
    )
    response_timeout_seconds: Seconds = Field(25, description="the seconds a caller is kept waiting, up to 120")
    port: Port = Field(8080, description="the port that `ipaas-stamped serve` listens on, 1 to 65535")
    forwarded_allow_ips: Proxies = Field(
        "127.0.0.1", description="the addresses or networks of the proxies whose X-Forwarded-For is believed, or *"
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Upper] = Field(
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
        if url is None or given & {*_SANDBOX_FILLS, *OTHER_NAMES.values()}:
            return {name: value for name, value in data.items() if name != "sandbox_url"}
        return {
            "STAMPED_API_PUBLIC_KEY": "pubkey-sandbox",
            "STAMPED_API_PRIVATE_KEY": "key-sandbox",
            "stamped_api_store_hash": "270392",
            "ipaas_webhook_api_key": SANDBOX_WEBHOOK_KEY,
            "operator_api_key": SANDBOX_OPERATOR_KEY,
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
        missing = [name for name in _OF_A_STORE if not {name, OTHER_NAMES.get(name)} & given.keys()]
        return data | {given_as(name.lower()): ABSENT for name in missing}

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        lines = [*self._unmatched(), *self._doors(), *self._examples()]
        if lines:
            raise PydanticCustomError("together", "\n".join(lines))
        return self

    def _unmatched(self) -> Iterator[str]:
        if self.ipaas_api_url and not self.ipaas_api_token:
            yield "IPAAS_API_TOKEN is missing: IPAAS_API_URL needs it"
        if self.sandbox_url and self.ipaas_api_url:
            why = "with IPAAS_API_URL set, the sandbox would link real customers"
            yield f"STAMPED_API_PUBLIC_KEY is missing: {why}"

    def _doors(self) -> Iterator[str]:
        """A key opens one door."""
        opens: dict[str, Role] = {}
        for key in self._opening():
            role = opens.setdefault(key.secret, key.who.role)
            if role != key.who.role:
                yield f"{DOORS[key.who.role]} must differ from {DOORS[role]}"

    def _examples(self) -> Iterator[str]:
        """Of several stores each connection is asked."""
        if self.connections_file is None and not is_at_hand(self.stamped_api_url):
            for role in {key.who.role: None for key in self._opening() if key.secret in EXAMPLES}:
                yield f"{DOORS[role]} is not usable: everybody knows this example; set a key of your own"

    def _opening(self) -> list[Key]:
        """The keys of this service, as far as they are known here."""
        webhook = [Key(Who("webhook", "webhook"), secret) for secret in self.webhook_keys]
        return [key for key in (*webhook, *self.keys) if key.secret not in {ABSENT, AT_FAULT}]

    @property
    def webhook_keys(self) -> list[str]:
        """Each key that opens the webhook."""
        return split_keys(self.ipaas_webhook_api_key.get_secret_value())

    @property
    def example_webhook_key(self) -> str | None:
        """What may be shown to everybody: in a sandbox, a key of the webhook that everybody knows."""
        return next((key for key in self.webhook_keys if self.sandbox_url and key in EXAMPLES), None)

    @property
    def keys(self) -> list[Key]:
        """Each key of a person, and whose it is."""
        people: dict[Role, SecretStr | None] = {"operator": self.operator_api_key, "viewer": self.viewer_api_key}
        return [
            read_key(role, part)
            for role, value in people.items()
            for part in (split_keys(value.get_secret_value()) if value else ())
        ]


DOORS: dict[Role, str] = {
    "webhook": "IPAAS_WEBHOOK_API_KEY",
    "operator": "OPERATOR_API_KEY",
    "viewer": "VIEWER_API_KEY",
}


def given_as(field: str) -> str:
    """A field with other names goes by its first one."""
    return field.upper() if field.upper() in OTHER_NAMES else field


def is_absent(value: Any) -> bool:
    """Whether connections are to say it."""
    return (value.get_secret_value() if isinstance(value, SecretStr) else value) == ABSENT
