"""From settings to connections: the clients and the mapping that serve what iPaaS.com calls a subscription."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.ipaas.client import IpaasAccount, IpaasClient
from app.mapping import BUILT_IN, Mapping, MappingFault, load_mapping
from app.settings import Settings, SettingsFault
from app.stamped.client import StampedAccount, StampedClient

if TYPE_CHECKING:
    import httpx

    from app.clock import Clock
    from app.telemetry.metrics import Metrics
    from app.telemetry.redaction import Redactor

SANDBOX: Final = "sandbox "  # so begin the names of connections to one


@dataclass(frozen=True, slots=True)
class Connection:
    """`ipaas` None: records come with the notification, and external IDs are not written back."""

    stamped: StampedClient
    ipaas: IpaasClient | None
    mapping: Mapping
    redactor: Redactor

    @classmethod
    def of(
        cls,
        settings: Settings,
        redactor: Redactor,
        metrics: Metrics | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> Connection:
        """The one that the settings describe. Raises SettingsFault for a mapping that cannot be used.

        `transport` stands in for the network to Stamped.io and iPaaS.com.
        """
        stamped = StampedAccount(
            url=settings.stamped_api_url,
            public_key=settings.stamped_api_public_key.get_secret_value(),
            private_key=settings.stamped_api_private_key.get_secret_value(),
            store_hash=settings.stamped_api_store_hash,
            timeout_seconds=settings.stamped_timeout_seconds,
            connections=settings.stamped_concurrent_connections,
            subscribe_email_in=settings.stamped_subscribe_email_in,
        )
        ipaas = None
        if settings.ipaas_api_url and settings.ipaas_api_token:
            token = settings.ipaas_api_token.get_secret_value()
            ipaas = IpaasAccount(settings.ipaas_api_url, token, settings.ipaas_client_id)
        return cls(
            stamped=StampedClient(stamped, redactor, transport, metrics),
            ipaas=IpaasClient(ipaas, redactor, transport, metrics) if ipaas else None,
            mapping=_mapping_of(settings),
            redactor=redactor,
        )

    async def aclose(self) -> None:
        """Close both clients. Idempotent."""
        await self.stamped.aclose()
        if self.ipaas is not None:
            await self.ipaas.aclose()


def name_of(settings: Settings, clock: Clock) -> str:
    """What links and repeats are kept under: another store has its own, and so has each run of the sandbox."""
    if settings.sandbox_url:
        return f"{SANDBOX}{clock.now():%Y-%m-%dT%H:%M:%S.%f}"
    return f"store {settings.stamped_api_store_hash}"


def _mapping_of(settings: Settings) -> Mapping:
    """The built-in mapping, or that of MAPPING_FILE. Raises SettingsFault with line and column."""
    text: str | bytes = BUILT_IN
    source = "built-in mapping"
    if settings.mapping_file is not None:
        source = f"MAPPING_FILE {settings.mapping_file}"
        try:
            text = settings.mapping_file.read_bytes()
        except OSError as error:
            reason = f"{source} cannot be read: {error.strerror}; set the path of a mapping file."
            raise SettingsFault([reason]) from None
    try:
        return load_mapping(text, subscription_field=settings.subscription_field, source=source)
    except MappingFault as fault:
        raise SettingsFault([str(fault)]) from None
