"""Transactions side by side, each in a thread of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from app.ledger.faults import DatabaseGone, gone, is_repeatable, told
from app.ledger.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine, RootTransaction

T = TypeVar("T")
_TRIES = 3


class Pool:
    """At most `size` at once."""

    def __init__(self, engine: Engine, size: int, name: str) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name)

    async def run(self, work: Callable[[Session], T]) -> T:
        """The result of `work`, durable. Raises DatabaseGone; it may have run then."""
        try:
            under_way = asyncio.get_running_loop().run_in_executor(self._threads, self._transact, work)
        except RuntimeError as error:  # the threads are shut down
            raise DatabaseGone(str(error)) from None
        return await under_way

    def stop(self) -> None:
        """Finish what runs. Idempotent."""
        self._threads.shutdown()
        self._engine.dispose()

    def _transact(self, work: Callable[[Session], T]) -> T:
        tries = 1
        while True:
            try:
                return self._once(work)
            except Exception as error:  # noqa: BLE001 - told or tried again
                if tries == _TRIES or not is_repeatable(error):
                    raise told(error) from None
            tries += 1

    def _once(self, work: Callable[[Session], T]) -> T:
        with self._engine.connect() as connection:
            try:
                transaction = _begun(connection)
                result = work(Session(connection))
                transaction.commit()
            except BaseException as error:
                if gone(error):
                    connection.invalidate()
                else:
                    connection.rollback()
                raise
        return result


def _begun(connection: Connection) -> RootTransaction:
    """On another connection, where the server has ended this one since its last use."""
    try:
        return connection.begin()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return connection.begin()
