"""From facts to a verdict: each cause in one sentence, the worst first. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Final

from app.health import advice, ipaas_advice
from app.ledger.facts import HOUR
from app.outbound.calls import status_line
from app.outbound.status_table import Kind
from app.verdict.causes import CODES, Cause, Verdict
from app.verdict.words import clock, own_of, some, span, told_of, waits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.health import State
    from app.ledger.grouping import Tag
    from app.outbound.calls import CallError
    from app.verdict.facts import Facts, Store

LATELY: Final = 2 * HOUR  # a refused webhook is of interest for so long
_IN_A_ROW: Final = 3  # refused webhooks with none between them that was let in; fewer may be a stranger's
_MANY: Final = 10  # of fewer failures a share says little
_BAD_SHARE, _BAD_SHARE_LATELY, _ALERTING_SHARE = 0.2, 0.5, 0.05
_REMEDIES: Final[dict[Tag, str]] = {  # of failures, by what mends the commonest of them
    "keys": "Mend the cause, then re-run them.",
    "data": "Correct the records in iPaaS.com, which then sends them anew; the same data fail again.",
    "passes": "It passes by itself, as a rule; re-run them then.",
}
_STATES: Final[dict[str, State]] = {
    "service": "fail",
    "database": "fail",
    "connections-file": "warn",
    "schema": "warn",
}


def judge(facts: Facts, only: str | None = None) -> Verdict:
    """Of all connections, or of one with what concerns all."""
    stores = [each for each in facts.stores if only in {None, each.id}]
    ours = (Cause(code, _STATES[code], told.rstrip(".")) for code, told in facts.told.items())
    by_store = (_of_store(store, facts.at, several=len(facts.stores) > 1) for store in stores)
    causes = [*ours, *_of_callers(facts), *chain.from_iterable(by_store)]
    causes.sort(key=lambda cause: (cause.state != "fail", CODES.index(cause.code)))
    if not causes:
        return Verdict("ok", _well(stores, facts.at), (), facts.at)
    return Verdict(causes[0].state, causes[0].headline, tuple(causes), facts.at)


def _well(stores: list[Store], now: float) -> str:
    last = max((each.counted.last_webhook or 0.0 for each in stores), default=0.0)
    today = sum(each.counted.today for each in stores)
    if not last and not today:
        return "Nothing has come yet"
    ago = f", the last {span(now - last)} ago" if last else ""
    return f"All well: {today:,} today{ago}"


def _of_callers(facts: Facts) -> Iterator[Cause]:
    """No key says whose these were."""
    now, rejections = facts.at, facts.rejections
    last = max(facts.let_in or 0.0, *(each.counted.last_webhook or 0.0 for each in facts.stores), 0.0)
    refused = [each.at for each in rejections if each.status == HTTPStatus.UNAUTHORIZED]
    since = [at for at in refused if at > last]
    lately = [at for at in refused if at > now - LATELY]
    if len(since) >= _IN_A_ROW or (since and last <= now - LATELY):
        headline = f"iPaaS.com's key is refused: {some(len(since), 'webhook')} in {span(now - min(since))}"
        remedy = "In iPaaS.com, set the subscription's Webhook API Key to a key of IPAAS_WEBHOOK_API_KEY."
        yield Cause("webhook-key", "fail", headline, remedy, since=min(since), count=len(since))
    elif lately:
        headline = f"A webhook key was refused: {some(len(lately), 'webhook')} in {span(now - min(lately))}"
        remedy = "Rejections say where from. " + ("Others were let in since." if not since else "None came since.")
        yield Cause("webhook-key", "warn", headline, remedy, since=min(lately), count=len(lately), alerts=False)
    others = [each for each in rejections if each.status != HTTPStatus.UNAUTHORIZED and each.at > now - LATELY]
    if others:
        most = Counter(each.status for each in others).most_common(1)[0][0]
        first = min(each.at for each in others)
        share = "" if len(others) == 1 else "all " if len({each.status for each in others}) == 1 else "most "
        were = "was" if len(others) == 1 else "were"
        told = f"{share}with {status_line(most)}"
        headline = f"{some(len(others), 'webhook')} {were} refused in {span(now - first)}, {told}"
        yield Cause("webhooks-refused", "warn", headline, "Rejections say why.", since=first, count=len(others))


def _of_store(store: Store, now: float, *, several: bool) -> Iterator[Cause]:
    """Named where there are several."""
    found = (_stamped(store, now), _ipaas(store), _pause(store, now), _failures(store))
    for cause in (*found, _throttled(store, now), _silence(store, now), _waiting(store, now)):
        if cause is not None:
            whose = f"{store.name}: " if several else ""
            own = f"{whose}{cause.own}" if cause.own else None
            yield replace(cause, headline=f"{whose}{cause.headline}", own=own, connection=store.id)


def _stamped(store: Store, now: float) -> Cause | None:
    error, refused = store.stamped, store.counted.refused
    if error is None:
        return None
    since = f" since {clock(refused.since, now)}" if refused.since else ""
    what = f": {some(refused.total, 'transfer')} failed" if refused.total else f" ({_told(error)})"
    waiting = f", {waits(store.waiting)}" if store.waiting else ""
    if error.kind is Kind.DENIED:
        is_store = error.status == HTTPStatus.NOT_FOUND
        code = "stamped-store" if is_store else "stamped-keys"
        headline = f"{'Stamped.io does not know the store' if is_store else 'Stamped.io refuses our keys'}{since}"
        number = refused.total or None
        return Cause(code, "fail", f"{headline}{what}{waiting}", advice(error), since=refused.since, count=number)
    if store.pause is not None:
        return None
    return Cause("stamped-failing", "warn", f"The last call to Stamped.io failed: {_told(error)}", advice(error))


def _ipaas(store: Store) -> Cause | None:
    error, failed = store.ipaas, store.counted.unloaded
    if error is None:
        return None
    what = f"{_told(error)}; {some(failed, 'transfer')} failed" if failed else _told(error)
    if error.kind is Kind.DENIED:
        headline = f"iPaaS.com refuses our token: {what}"
        return Cause("ipaas-token", "fail", headline, ipaas_advice(error), count=failed or None)
    headline = f"The last call to iPaaS.com failed: {what}"
    return Cause("ipaas-failing", "warn", headline, ipaas_advice(error), count=failed or None)


def _pause(store: Store, now: float) -> Cause | None:
    pause = store.pause
    if pause is None or pause.state == "throttled":
        return None
    told = f"since {clock(pause.since, now)}: {waits(store.waiting)}"
    if pause.state == "paused":
        remedy = "Resume it, and what waits begins."
        return Cause("paused", "warn", f"Paused by hand {told}", remedy, since=pause.since, count=store.waiting)
    again = f"It is tried again at {clock(pause.until, now)}; what" if pause.until else "What"
    remedy = f"{again} waits goes on by itself."
    headline = f"Stamped.io does not answer {told}"
    return Cause("stamped-down", "fail", headline, remedy, since=pause.since, count=store.waiting)


def _failures(store: Store) -> Cause | None:
    failed = store.counted.failed
    if failed is None:
        return None
    day, hour = max(store.counted.day, failed.day), max(store.counted.hour, failed.hour, 1)
    is_bad_lately = failed.hour >= _MANY and failed.hour / hour >= _BAD_SHARE_LATELY
    is_bad = is_bad_lately or (failed.day >= _MANY and failed.day / day >= _BAD_SHARE)
    group, number = failed.commonest, f"{failed.day:,} of {day:,} failed in 24 h"
    why = told = ""
    tag: Tag = group.tag if group else "keys"
    if group is not None:
        why = f"{f', {group.total:,} of them' if group.total < failed.day else ''}: "
        told = told_of(group, store)
    return Cause(
        "failures",
        "fail" if is_bad else "warn",
        f"{number}{why}{told}",
        _REMEDIES[tag],
        since=failed.first_at,
        count=failed.day,
        alerts=is_bad or (failed.day >= _MANY and failed.day / day >= _ALERTING_SHARE),
        helps="show" if tag == "data" else None,
        own=f"{number}{why}{own_of(told)}",
    )


def _throttled(store: Store, now: float) -> Cause | None:
    throttled, number = store.throttled, store.waiting
    if throttled is None or (store.pause is not None and store.pause.state != "throttled"):
        return None
    set_to = f"{throttled.limit:,} calls in {throttled.seconds:g} s"
    if throttled.asked_until is not None:
        headline = f"Stamped.io asked to wait until {clock(throttled.asked_until, now)}: {waits(number)}"
        remedy = f"The throttle is set to {set_to}; lower it if this comes again and again."
    else:
        through = span(throttled.through_at - now)
        headline = f"The throttle of {set_to} makes {some(number, 'transfer')} wait, the last for about {through}"
        remedy = "They go on by themselves. Raise STAMPED_API_THROTTLE_LIMIT if Stamped.io allows more."
    return Cause("throttled", "warn", headline, remedy, count=number)


def _silence(store: Store, now: float) -> Cause | None:
    last, usual = store.counted.last_webhook, store.usual
    if last is None or usual is None or not usual.is_broken(last, now):
        return None
    often = f", usually {usual.per_hour:,} an hour" if usual.busy is not None else ""
    remedy = "In iPaaS.com, look whether the subscription and its webhook are on, and lead to this address."
    return Cause("no-webhook", "warn", f"No webhook for {span(now - last)}{often}", remedy, since=last)


def _waiting(store: Store, now: float) -> Cause | None:
    if store.oldest is None:
        return None
    since, number = store.oldest
    headline = f"A transfer has waited for {span(now - since)}"
    if number > 1:
        headline = f"The oldest of {number:,} transfers that wait has waited for {span(now - since)}"
    return Cause("waiting", "warn", headline, "Its page says what it waits for.", since=since, count=number)


def _told(error: CallError) -> str:
    """A message may name somebody."""
    return "no answer" if error.status is None else status_line(error.status)
