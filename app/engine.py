"""Starts transfers and waits for them: the one way to start one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import structlog

from app.catalog import CATALOG, Slug
from app.transfer import Change, Failure, Progress, TransferFailed, run_transfer
from app.tries import Tries

if TYPE_CHECKING:
    from app.clock import Clock
    from app.connection import Connection

log = structlog.stdlib.get_logger("transfer")

Status = Literal["succeeded", "skipped", "failed"]


class NotTaking(Exception):
    """The engine is starting or stopping and takes no new transfers."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What a notification asks for: a change to transfer, or the reason why there is nothing to do."""

    tracking_guid: str
    customer_id: str | None
    scope: str
    change: Change | None = None
    skip_reason: str | None = None
    debug: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a transfer ended."""

    transfer_id: str
    tracking_guid: str
    customer_id: str | None
    status: Status
    progress: Progress = field(default_factory=Progress)
    reason: str | None = None
    failure: Failure | None = None


class Engine:
    """Runs transfers in this process. A caller that stops waiting does not cancel its transfer."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._running: set[asyncio.Task[Outcome]] = set()
        self.taking = False

    @property
    def running(self) -> int:
        """Transfers under way."""
        return len(self._running)

    def start(self) -> None:
        """From now on transfers are taken. Idempotent."""
        self.taking = True

    async def drain(self, seconds: float) -> None:
        """Take no more; wait for the running ones, then give them up. Idempotent."""
        self.taking = False
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()

    async def run(self, intakes: list[Intake], timeout_seconds: float) -> list[Outcome]:
        """Each intake's outcome, in order; all run at once. Raises NotTaking."""
        if not self.taking:
            raise NotTaking
        tasks = [asyncio.create_task(self._run(intake, timeout_seconds)) for intake in intakes]
        self._running.update(tasks)
        for task in tasks:
            task.add_done_callback(self._running.discard)
        return list(await asyncio.shield(asyncio.gather(*tasks)))

    async def _run(self, intake: Intake, timeout_seconds: float) -> Outcome:
        transfer_id = str(uuid4())
        began = self._clock.monotonic()
        with structlog.contextvars.bound_contextvars(tracking_guid=intake.tracking_guid, transfer_id=transfer_id):
            outcome = await self._outcome(intake, transfer_id, began + timeout_seconds)
            _log_outcome(intake, outcome, self._clock.monotonic() - began)
        return outcome

    async def _outcome(self, intake: Intake, transfer_id: str, deadline: float) -> Outcome:
        ids = (transfer_id, intake.tracking_guid, intake.customer_id)
        if intake.change is None:
            return Outcome(*ids, "skipped", reason=intake.skip_reason)
        progress = Progress()
        try:
            async with asyncio.timeout(deadline - self._clock.monotonic()):
                tries = Tries(deadline, self._clock)
                await run_transfer(intake.change, self._connection, tries, self._clock, progress)
        except TransferFailed as failed:
            failure = failed.failure
        except TimeoutError:
            slug = Slug.CUSTOMER if progress.external_id is None else Slug.SUBSCRIPTION
            detail = f"{CATALOG[slug].sentence} No answer: the transfer took longer than the response timeout."
            failure = Failure(slug, 504, detail, retryable=True)
        except Exception:
            log.exception("transfer broke")
            failure = Failure(Slug.INTERNAL_ERROR, 500, CATALOG[Slug.INTERNAL_ERROR].sentence, retryable=True)
        else:
            return Outcome(*ids, "succeeded", progress, " ".join(progress.notes) or None)
        return Outcome(*ids, "failed", progress, failure.detail, failure)


def _log_outcome(intake: Intake, outcome: Outcome, seconds: float) -> None:
    write = log.warning if outcome.failure else log.info
    write(
        "transfer",
        customer_id=outcome.customer_id,
        scope=intake.scope,
        status=outcome.status,
        action=outcome.progress.action,
        external_id=outcome.progress.external_id,
        subscription=outcome.progress.subscription,
        reason=outcome.reason,
        error=outcome.failure.slug.value if outcome.failure else None,
        seconds=round(seconds, 4),
        steps=outcome.progress.seconds,
    )
