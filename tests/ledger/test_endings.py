"""How a run is finished or given up."""

from __future__ import annotations

from app.attempt import Progress
from app.catalog import Slug
from app.ledger import endings, links, reports
from app.ledger.stored import Stored
from tests.ledger.support import CUSTOMER, OTHER, OWNER, REFUSED, Ledger


async def test_success_is_recorded_with_its_link(ledger: Ledger) -> None:
    progress = Progress(
        "updated", "143491", "unchanged", written_back=True, notes=["A note."], seconds={"upsert": 0.25}
    )
    finished = await ledger.finish(await ledger.running(), progress=progress)
    done = finished.transfer
    assert (done.status, done.action, done.external_id, done.subscription, done.reason) == (
        *("succeeded", "updated", "143491", "unchanged", "A note."),
    )
    assert (done.owner, done.finished_at, done.error, done.failure) == (None, ledger.now, None, None)
    (attempt,) = await ledger.database.read(reports.attempts_of, done.seq)
    assert (attempt["number"], attempt["outcome"], attempt["steps"]) == (1, "succeeded", '{"upsert": 0.25}')
    link = await ledger.database.read(links.link_row, "default", CUSTOMER)
    assert link is not None
    assert (link["external_id"], link["written_back"], link["sent_transfer_id"]) == ("143491", True, done.id)


async def test_a_failure_after_the_upsert_keeps_the_link_and_is_told(ledger: Ledger) -> None:
    finished = await ledger.finish(await ledger.running(), REFUSED)
    failed = finished.transfer
    assert (failed.status, failed.error, failed.external_id) == ("failed", Slug.CUSTOMER.value, "143491")
    assert failed.documented_failure() == REFUSED
    link = await ledger.database.read(links.link_row, "default", CUSTOMER)
    assert link is not None
    assert (link["external_id"], link["sent_transfer_id"]) == ("143491", None)


async def test_what_was_taken_over_cannot_be_finished(ledger: Ledger) -> None:
    claimed = await ledger.running()
    assert await ledger.do(endings.give_up, claimed.seq, OWNER, ledger.now)
    assert await ledger.may_finish(claimed) is None
    again = await ledger.claim(claimed.seq)
    assert again is not None
    assert await ledger.may_finish(claimed) is None, "the same owner, but another attempt"
    assert (await ledger.finish(again.transfer)).transfer.status == "succeeded"
    outcomes = [row["outcome"] for row in await ledger.database.read(reports.attempts_of, claimed.seq)]
    assert outcomes == ["interrupted", "succeeded"]


async def test_giving_up_promises_and_leaves_it_due(ledger: Ledger) -> None:
    claimed = await ledger.running()
    ledger.now += 40
    entered = await ledger.do(endings.give_up, claimed.seq, OWNER, ledger.now)
    assert entered is not None
    assert (entered.transfer.status, entered.transfer.promised, entered.transfer.owner) == ("accepted", True, None)
    assert await ledger.database.read(reports.due, ledger.now, 10) == [claimed.seq]
    assert await ledger.do(endings.give_up, claimed.seq, OWNER, ledger.now) is None


async def test_only_the_owner_that_is_gone_is_given_up(ledger: Ledger) -> None:
    claimed = await ledger.running()
    assert await ledger.do(endings.give_up, claimed.seq, OTHER, ledger.now) is None
    assert await ledger.row(claimed) == claimed


async def test_what_brings_the_process_down_each_time_ends(ledger: Ledger) -> None:
    transfer: Stored = await ledger.running()
    for _ in range(endings._MOST_ATTEMPTS - 1):
        assert await ledger.do(endings.give_up, transfer.seq, OWNER, ledger.now)
        entered = await ledger.claim(transfer.seq)
        assert entered is not None
        transfer = entered.transfer
    entered = await ledger.do(endings.give_up, transfer.seq, OWNER, ledger.now)
    assert entered is not None
    ended = entered.transfer
    assert (ended.status, ended.error, ended.finished_at) == ("failed", "internal-error", ledger.now)
    assert ended.documented_failure() is not None
