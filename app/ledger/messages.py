"""Words of messages: which groups of failures say them, without looking at each failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, literal, select

from app.error_catalog import CATALOG
from app.ledger.tables import transfers

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

MOST_GROUPS: Final = 2000  # that are looked at, in the order of their names


def groups_that_say(words: str) -> Select[tuple[str]]:
    """The groups whose newest message has all of these words, in any case, after the documented sentence.

    From group to group by the index on them, so that the time grows with the groups, not with the failures.
    """
    group = transfers.c.failure_group
    first = select(func.min(group).label("name"), literal(1).label("number")).where(group.is_not(None))
    names = first.cte("names", recursive=True)
    following = select(func.min(group)).where(group > names.c.name).correlate(names).scalar_subquery()
    further = select(following, names.c.number + 1)
    names = names.union_all(further.where(names.c.name.is_not(None), names.c.number < MOST_GROUPS))
    last = select(func.max(transfers.c.seq)).where(group == names.c.name).correlate(names).scalar_subquery()
    newest = transfers.alias("newest")
    own: ColumnElement[str] = func.coalesce(newest.c.reason, "")
    for entry in CATALOG.values():
        own = func.replace(own, entry.sentence, "")
    each = dict.fromkeys(words.lower().split())
    says = [func.lower(own).contains(word, autoescape=True) for word in each]
    return select(newest.c.failure_group).select_from(names).join(newest, newest.c.seq == last).where(*says)
