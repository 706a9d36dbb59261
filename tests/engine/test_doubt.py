"""A call without an answer may still take effect: the customer is in doubt, and is looked at once more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.attempt import Progress
from app.ledger import attempts, claims, triggers
from app.ledger.attempts import AttemptResult, Terms
from app.ledger.claims import Claim
from app.ledger.session import Session
from tests.engine.support import Call, Person, Room, SlowStamped, change, room
from tests.engine.test_recovery import BEATS_TO_DEATH, GONE, on_disk
from tests.ledger.support import due
from tests.support import SCOPE

MINUTE = 60.0
PERSON = "person1@example.com"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Room]:
    """With consent, and a customer who is subscribed."""
    async with room(tmp_path / "bridge.db", consent=True) as opened:
        opened.send(change(1, consent=True))
        await opened.release_all()
        assert opened.stamped.people == {"143491": Person(PERSON, "C-1", 1, subscribed=True)}
        yield opened


async def until(here: Room, at: float) -> None:
    await here.advance(at - here.now)


async def late_no(here: Room) -> tuple[Call, float]:
    """Unsubscribed by a call that has not had its effect yet, and by its repeat; then subscribed again."""
    here.send(change(2, consent=False))
    await here.release()
    at = here.now
    late = await here.release("late", again=False)
    await here.release()
    here.send(change(3, consent=True))
    await here.release_all()
    assert here.stamped.subscribed == {PERSON: True}
    return late, at


async def test_what_a_late_call_did_is_mended_between_two_and_four_timeouts_after_it(here: Room) -> None:
    late, at = await late_no(here)
    late.happen()
    assert here.stamped.subscribed == {PERSON: False}
    await until(here, at + 2 * here.timeout)
    assert await here.verifications() == []
    await until(here, at + 4 * here.timeout)
    saved = list(here.stamped.sent)
    assert (await here.release()).kind == "subscribe"
    assert here.stamped.subscribed == {PERSON: True}
    assert here.stamped.sent == saved, "only what differed is set again"
    assert await here.verifications() == ["succeeded"]


async def test_where_nothing_differs_a_verification_only_reads(here: Room) -> None:
    _, at = await late_no(here)
    saved, told = list(here.stamped.sent), list(here.stamped.told)
    await until(here, at + 4 * here.timeout)
    assert (here.stamped.open, here.stamped.sent, here.stamped.told) == ([], saved, told)
    assert here.stamped.read == 1
    assert await here.verifications() == ["succeeded"]


async def test_a_customer_is_verified_once(here: Room) -> None:
    late, at = await late_no(here)
    late.happen()
    await until(here, at + 4 * here.timeout)
    await here.release()
    for _ in range(20):
        await here.advance(here.timeout)
        assert here.stamped.open == []
    assert await here.verifications() == ["succeeded"]


async def test_two_replicas_verify_once(here: Room, tmp_path: Path) -> None:
    async with room(tmp_path, beside=here, consent=True) as other:
        late, at = await late_no(here)
        late.happen()
        await until(here, at + 4 * here.timeout)
        await other.advance(0)
        await here.release()
        await other.advance(here.timeout)
        assert here.stamped.open == []
        assert await here.verifications() == ["succeeded"]


async def test_a_late_record_is_mended_too(here: Room) -> None:
    here.send(change(2, consent=True))
    at = here.now
    late = await here.release("late", again=False)
    await here.release()
    await here.release()  # the subscription, for no state is trusted
    here.send(change(3, consent=True))
    await here.release_all()
    late.happen()
    assert here.stamped.held == {"C-1": 2}
    told = list(here.stamped.told)
    await until(here, at + 4 * here.timeout)
    await here.release()
    assert here.stamped.held == {"C-1": 3}
    assert (here.stamped.open, here.stamped.told) == ([], told)


async def test_in_doubt_no_state_is_trusted(here: Room) -> None:
    _, at = await late_no(here)
    here.send(change(4, consent=True))
    assert (await here.release()).kind == "update"
    assert (await here.release()).kind == "subscribe"
    await until(here, at + 4 * here.timeout)
    here.send(change(5, consent=True))
    assert (await here.release()).kind == "update"
    assert here.stamped.open == [], "the verification ended the doubt"


@pytest.mark.parametrize("outcome", ["ok", "away", "refused"])
async def test_a_call_that_was_answered_leaves_no_doubt(here: Room, outcome: str) -> None:
    here.send(change(2, consent=True))
    await here.release(outcome)
    for _ in range(10):
        await here.beat()
        await here.advance(here.timeout)
        assert here.stamped.open == []
    assert here.stamped.read == 0
    assert await here.verifications() == []


async def test_whom_a_late_add_created_is_found_before_anybody_comes_again(tmp_path: Path) -> None:
    async with room(tmp_path / "bridge.db") as here:
        here.send(change(1))
        at = here.now
        late = await here.release("late")
        late.happen()
        await until(here, at + 4 * here.timeout)
        assert here.stamped.open == []
        assert await here.statuses() == ["failed", "succeeded"]
        searched = here.stamped.searched
        here.send(change(2, email="other@example.com"))
        await here.release()
        assert here.stamped.people == {"143491": Person("other@example.com", "C-1", 2)}
        assert here.stamped.searched == searched


async def test_a_verification_creates_nobody(tmp_path: Path) -> None:
    async with room(tmp_path / "bridge.db") as here:
        here.send(change(1))
        await here.release("late")
        await here.advance(4 * here.timeout)
        assert here.stamped.people == {}
        assert await here.statuses() == ["failed", "succeeded"]


async def test_doubt_costs_a_promise_none_of_its_tries(here: Room) -> None:
    (stored,) = await here.promise(change(2, consent=True))
    await here.release("late")
    waiting = await here.row(stored)
    for _ in range(8):
        await here.advance(here.timeout)
        while here.stamped.open:
            await here.release("late")
    row = await here.row(stored)
    assert (row.status, row.tries, row.next_attempt_at) == ("waiting", 1, waiting.next_attempt_at)


async def test_a_verification_that_fails_is_tried_again(here: Room) -> None:
    late, at = await late_no(here)
    late.happen()
    here.stamped.slow_reads = True
    await until(here, at + 4 * here.timeout)
    assert (await here.release("away")).kind == "get"
    assert await here.verifications() == ["waiting"]
    await here.advance(22 * MINUTE)
    await here.release_all()
    assert here.stamped.subscribed == {PERSON: True}
    assert await here.verifications() == ["succeeded"]


async def test_what_comes_after_that_time_needs_no_verification_beside_it(here: Room) -> None:
    """It sends all of it again anyway."""
    late, at = await late_no(here)
    late.happen()
    here.fake_clock.advance(at + 4 * here.timeout - here.now)
    here.send(change(4, consent=True))
    await here.release_all()
    await here.advance(10 * here.timeout)
    assert here.stamped.subscribed == {PERSON: True}
    assert await here.verifications() == []


async def test_what_a_killed_process_sent_last_does_not_last(here: Room, tmp_path: Path) -> None:
    here.send(change(2, consent=False))
    await here.release()
    (late,) = here.stamped.open
    stamped = SlowStamped()
    stamped.people = here.stamped.people
    async with room(on_disk(tmp_path), consent=True, stamped=stamped) as after:
        at = after.now
        await after.release_all()
        after.send(change(3, consent=True))
        await after.release_all()
        late.happen()
        assert stamped.subscribed == {PERSON: False}
        await until(after, at + 4 * after.timeout)
        await after.release_all()
        assert stamped.subscribed == {PERSON: True}
        await after.advance(20 * after.timeout)
        assert (stamped.open, await after.verifications()) == ([], ["succeeded"])


async def _overtaken(here: Room, *, verified: bool = True) -> None:
    """Others took this replica for dead, ran its transfer, sent a newer change, and looked whether all is well."""
    now, replica = here.now, here.engine.pulse.replica
    done = AttemptResult(Progress(action="updated", external_id="143491", subscription="unchanged"), now)

    def take_over(connection: Session) -> None:
        assert attempts.release(connection, SCOPE, "1", replica, now, Terms())
        again = claims.claim(connection, SCOPE, "1", GONE, now)
        assert again is not None
        assert attempts.finish(connection, again, done, Terms())
        newer = triggers.accept(connection, change(3, consent=True), GONE, now)
        assert newer.claim is not None
        assert attempts.finish(connection, newer.claim, done, Terms())
        if verified:
            later = now + 4 * here.timeout
            (looks,) = due(connection, SCOPE, GONE, later, 1)
            assert looks.verifies
            assert attempts.finish(connection, looks, replace(done, finished_at=later), Terms())

    await here.database.run(take_over)
    here.stamped.people["143491"].version = 3


@pytest.mark.parametrize("fenced", [False, True])
async def test_what_a_replica_sends_after_it_stood_still_does_not_last(here: Room, *, fenced: bool) -> None:
    here.send(change(2, consent=True))
    await here.still()
    await _overtaken(here)
    (late,) = here.stamped.open
    at = here.now
    if fenced:
        here.engine._runner.fence()
        await here.still()
        late.happen()  # it had left already
    else:
        await here.release()
    assert (here.stamped.open, here.stamped.held) == ([], {"C-1": 2})
    await until(here, at + 2 * here.timeout)
    assert here.stamped.open == []
    await until(here, at + 4 * here.timeout)
    await here.release_all()
    assert here.stamped.held == {"C-1": 3}
    await here.advance(20 * here.timeout)
    assert (here.stamped.open, await here.verifications()) == ([], ["succeeded"] * 2)


async def test_an_attempt_that_was_taken_over_is_not_forgotten_when_its_customer_is_claimed_again(
    here: Room,
) -> None:
    """Nothing runs unseen: a fence and a drain end all of it."""
    here.send(change(2, consent=True))
    await here.still()
    await _overtaken(here, verified=False)
    await here.advance(4 * here.timeout)  # this replica verifies the customer
    assert await here.verifications() == ["succeeded"]
    assert here.engine.running == len(here.stamped.open)
    here.engine._runner.fence()
    await here.still()
    assert here.stamped.open == []


async def test_a_doubt_that_cannot_be_recorded_is_logged_and_recorded_later(
    here: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt = attempts.doubt
    broke: list[Claim] = []

    def breaks_once(connection: Session, lost: Claim, now: float, terms: Terms) -> None:
        if not broke:
            broke.append(lost)
            raise ZeroDivisionError
        doubt(connection, lost, now, terms)

    monkeypatch.setattr(attempts, "doubt", breaks_once)
    here.send(change(2, consent=True))
    await here.still()
    await _overtaken(here)
    (late,) = here.stamped.open
    with capture_logs() as lines:
        here.engine._runner.fence()
        await here.still()
    late.happen()
    assert [line["exc_info"] for line in lines if line["log_level"] == "error"] == [True]
    await here.advance(here.timeout)
    await here.advance(4 * here.timeout)
    await here.release_all()
    assert here.stamped.held == {"C-1": 3}
    assert await here.verifications() == ["succeeded"] * 2


async def test_after_a_fence_the_customer_is_verified_once(here: Room) -> None:
    here.send(change(2, consent=True))
    await here.still()
    here.engine._runner.fence()
    await here.beat(BEATS_TO_DEATH + 1)
    await here.release_all()
    saved = list(here.stamped.sent)
    for _ in range(10):
        await here.advance(here.timeout)
    assert (here.stamped.open, here.stamped.sent, here.stamped.read) == ([], saved, 1)
    rows = [(row.trigger, row.status) for row in await here.rows()]
    assert rows == [*[("webhook", "succeeded")] * 2, ("verify", "succeeded")]
