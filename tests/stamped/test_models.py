"""Stamped.io's answers, read tolerantly."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stamped.models import StampedCustomer, customer_in, customers_in

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "email", "isSubscribed", "customer", "data", "result", "x"]), inner
        )
    ),
    max_leaves=15,
)
ADA = {"id": 143491, "email": "ada@example.com", "isSubscribed": True}
READ = StampedCustomer("143491", "ada@example.com", is_subscribed=True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(ADA, id="flat"),
        pytest.param({"customer": ADA}, id="customer"),
        pytest.param({"data": ADA}, id="data"),
        pytest.param({"result": ADA}, id="result"),
        pytest.param([ADA, {"id": 2}], id="first of a list"),
        pytest.param({"results": [ADA, {"id": 2}]}, id="first of results"),
        pytest.param({"results": [{"customer": ADA}]}, id="customer inside results"),
        pytest.param({"data": [ADA]}, id="list inside data"),
        pytest.param({"data": {"customer": ADA}}, id="customer inside data"),
        pytest.param({"customer": None, "data": ADA}, id="empty envelope beside"),
        pytest.param({"total": 1, "page": 0, "results": [None, ADA]}, id="null in a list"),
    ],
)
def test_every_envelope(body: Any) -> None:
    assert customer_in(body) == READ


@pytest.mark.parametrize(
    ("given_id", "read"),
    [
        *((143491, "143491"), ("143491", "143491"), (" 143491 ", "143491"), (143491.0, "143491")),
        *((10**40 - 1, "9" * 40), ("9" * 40, "9" * 40)),
    ],
)
def test_an_id_is_a_number_or_text_and_kept_as_text(given_id: Any, read: str) -> None:
    assert customer_in({"id": given_id}) == StampedCustomer(read, None, is_subscribed=None)


@pytest.mark.parametrize(
    "given_id",
    [
        *(None, "", "  ", "req-1", 0, -1, "0", "-1", True, False, 1.5, float("inf"), float("nan"), [], {}, [1]),
        *(10**40, 10**4299, "9" * 41, "9" * 100_000, 1e41, 1e308, "0" * 41 + "1"),
    ],
    ids=lambda given: str(given)[:9],
)
def test_what_is_no_id(given_id: Any) -> None:
    assert customer_in({"id": given_id, "email": "ada@example.com"}) is None


@pytest.mark.parametrize(
    "body", [None, True, False, "OK", "", 7, 1.5, {}, [], [[]], [None], {"customer": 7}, object()]
)
def test_an_answer_without_a_customer(body: Any) -> None:
    assert customer_in(body) is None


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (1, True),
        (0, False),
        (None, None),
        ("", None),
        ("maybe", None),
        ([], None),
        (2, None),
    ],
)
def test_is_subscribed_unknown_is_not_false(value: Any, *, read: bool | None) -> None:
    found = customer_in(ADA | {"isSubscribed": value})
    assert found is not None
    assert found.is_subscribed is read


def test_is_subscribed_missing_is_unknown() -> None:
    found = customer_in({"id": 1})
    assert found is not None
    assert found.is_subscribed is None


def test_an_email_that_is_no_text_is_none() -> None:
    found = customer_in({"id": 1, "email": ["ada@example.com"]})
    assert found is not None
    assert found.email is None


def test_all_customers_of_a_search_in_order() -> None:
    body = {"results": [{"customer": {"id": 1}}, {"customer": {"id": "2"}}, {"id": 3}, {"name": "no id"}]}
    assert [each.id for each in customers_in(body)] == ["1", "2", "3"]


@given(JSON)
def test_no_answer_breaks_the_reading(body: Any) -> None:
    for each in customers_in(body):
        assert each.id
        assert each.is_subscribed in {True, False, None}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([{}] * 350_000, id="objects"),
        pytest.param([0] * 500_000, id="numbers"),
        pytest.param([{"id": 1}] * 100_000, id="customers"),
        pytest.param([[[{"id": 1}] * 50_000]] * 2, id="lists"),
        pytest.param({"results": [None] * 200_000}, id="nothing"),
    ],
)
def test_a_huge_answer_is_looked_at_from_its_begin_only(body: Any) -> None:
    assert sum(1 for _ in customers_in(body)) <= 2000
    began = time.process_time()
    assert all(each.id == "1" for each in customers_in(body))
    assert time.process_time() - began < 0.05
