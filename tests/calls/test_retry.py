"""When to try again and how long to wait: arithmetic only."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from semart_vectors.calls.retry import RetryPolicy
from semart_vectors.errors import ConfigurationError
from semart_vectors.service.retry_after import retry_after_s

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"
MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")

NUMBERS: list[tuple[str, float | None]] = [
    ("1", 1), ("0", 0), (" 7 ", 7), ("12345678901234567890123", 12345678901234567890123.0), ("-5", None),
    ("1.5", 1.5), ("inf", None), ("nan", None), ("1e9", 1e9), ("abc", None), ("", None), ("10, 20", None),
    ("1_0", None), ("١٢", None), ("+5", None), ("0x10", None), ("1e999", None), ("1 0", None),
]  # fmt: skip  # a row stays in sight
DATES: list[tuple[str, float | None]] = [
    ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
    ("Sun, 06 Nov 1994 08:49:36 GMT", None),  # past
    ("Mon, 06 Nov 1994 08:50:37 GMT", 60),  # wrong weekday
    ("Sun, 06 Nov 100000 08:49:37 GMT", None),
    ("Sunday, 06-Nov-94 08:50:37 GMT", 60),  # RFC 850
]


@pytest.mark.parametrize(("value", "seconds"), [*NUMBERS, *DATES])
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """Finite and not below 0, else it is ignored; a date counts from the answer's own."""
    assert retry_after_s({"retry-after": value, "date": NOW}, "") == seconds


@pytest.mark.parametrize("name", MILLISECONDS)
@pytest.mark.parametrize(("value", "milliseconds"), [*NUMBERS, *((date, None) for date, _ in DATES)])
def test_retry_after_in_milliseconds_is_a_number(name: str, value: str, milliseconds: float | None) -> None:
    """The same rule, a thousandth of it; a date has no place there."""
    seconds = None if milliseconds is None else milliseconds / 1000
    assert retry_after_s({name: value, "date": NOW}, "") == seconds


@pytest.mark.parametrize("name", MILLISECONDS)
def test_milliseconds_come_before_seconds_and_seconds_before_words(name: str) -> None:
    """The finest answer holds; junk in it makes room for the next."""
    words = "Please retry after 40 seconds."
    assert retry_after_s({name: "1500", "retry-after": "9"}, words) == 1.5
    assert retry_after_s({name: "junk", "retry-after": "9"}, words) == 9
    assert retry_after_s({name: "-1", "retry-after": "junk"}, words) == 40


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please retry after 1 second. ", 1),
        ("have exceeded call rate limit. Please retry after 40 seconds. Please contact", 40),
        ("RETRY AFTER 5 SECONDS", 5),
        ("retry after a while", None),
        ("retry after -5 seconds", None),
        ("retry after 1.5 seconds", 1.5),
        ("retry after 99999999999999999999 seconds", 1e20),
        ("retry after inf seconds", None),
        ("", None),
    ],
)
def test_the_message_says_it_in_words(message: str, seconds: float | None) -> None:
    """As the service does where the header is missing."""
    assert retry_after_s({}, message) == seconds


@pytest.mark.parametrize("date", ["", "junk", "Sun, 06 Nov 1994 08:49:37", "10, 20"])
def test_a_date_without_a_date_to_count_from_is_ignored(date: str) -> None:
    """This machine's clock has no say in it."""
    assert retry_after_s({"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT", "date": date}, "") is None


@given(
    value=st.text(max_size=40)
    | st.from_regex(r"[A-Za-z]{3}, \d{1,2} [A-Z][a-z]{2} \d{1,6} [\d:]{1,9} ?[-+A-Z0-9]*"),
    date=st.text(max_size=10) | st.just(NOW),
    message=st.text(max_size=40),
)
def test_no_header_crashes_it(value: str, date: str, message: str) -> None:
    """The result is None or a finite number, not below 0."""
    for name in (*MILLISECONDS, "retry-after"):
        seconds = retry_after_s({name: value, "date": date}, message)
        assert seconds is None or 0 <= seconds < math.inf


def test_the_bound_of_the_wait_doubles_up_to_its_cap() -> None:
    """Half a second, one, two …; after a 429 it begins at one."""
    policy = RetryPolicy()
    assert [policy.backoff_bound_s(failures) for failures in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert [policy.backoff_bound_s(times, throttled=True) for times in range(1, 7)] == [1, 2, 4, 8, 16, 20]


@given(
    failures=st.integers(0, 10**400),
    base_s=st.floats(0, 1e308),
    cap_s=st.floats(0, 1e308),
    throttled=st.booleans(),
)
def test_the_bound_of_the_wait_never_overflows(
    failures: int, base_s: float, cap_s: float, *, throttled: bool
) -> None:
    """However long a service is down."""
    policy = RetryPolicy(base_s=base_s, throttled_base_s=base_s, cap_s=cap_s)
    assert 0 <= policy.backoff_bound_s(failures, throttled=throttled) <= cap_s


@pytest.mark.parametrize("bad", [-1, -0.001, math.inf, math.nan])
@pytest.mark.parametrize(
    "name",
    [
        "base_s",
        "throttled_base_s",
        "cap_s",
        "retry_after_cap_s",
        "throttled_limit_s",
        "attempt_timeout_s",
        "outage_limit_s",
    ],
)
def test_a_policy_refuses_times_that_are_none(name: str, bad: float) -> None:
    """Below 0, endless or not a number; the message names the field."""
    options: dict[str, Any] = {name: bad}
    with pytest.raises(ConfigurationError, match=name):
        RetryPolicy(**options)


@pytest.mark.parametrize("options", [{"max_attempts": 0}, {"max_attempts": -1}, {"attempt_timeout_s": 0}])
def test_a_policy_refuses_never_to_try(options: dict[str, Any]) -> None:
    """At least one attempt, and some time for it."""
    with pytest.raises(ConfigurationError):
        RetryPolicy(**options)
