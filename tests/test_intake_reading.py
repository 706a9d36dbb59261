"""No JSON breaks the reading of a webhook's body."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.intake import WrongBody, read_intake

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["notifications", "scope", "id", "customer", "tracking_guid"]), inner)
    ),
    max_leaves=12,
)


def refusal_of(body: Any) -> WrongBody | None:
    try:
        transfers = read_intake(body, {}, "default")
    except WrongBody as error:
        return error
    assert all(UUID(transfer.tracking_guid).int for transfer in transfers)
    return None


@given(JSON)
def test_no_json_breaks_the_reading(body: Any) -> None:
    refusal = refusal_of(body)
    assert refusal is None or refusal.faults
