"""Latencies: a constant, or a distribution given by its quantiles, so that a seed decides them all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Protocol

_NORMAL: Final = NormalDist()


class Latency(Protocol):
    """Seconds from a request to its answer."""

    def quantile_s(self, share: float) -> float:
        """Return the latency in seconds that a share of all calls stays below; `share` is in (0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every call takes the same time."""

    seconds: float
    """The latency, zero or more."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"a latency must be zero or more and finite, not {self.seconds}")

    def quantile_s(self, share: float) -> float:  # noqa: ARG002 - every quantile of a constant is the same
        """Return the constant."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Latencies spread evenly between two bounds."""

    low_s: float
    """The shortest latency, zero or more."""
    high_s: float
    """The longest latency."""

    def __post_init__(self) -> None:
        if not 0 <= self.low_s <= self.high_s < math.inf:
            raise ValueError(
                f"a latency must lie between two bounds, the lower first, not {self.low_s} and {self.high_s}"
            )

    def quantile_s(self, share: float) -> float:
        """Return the latency at that share of the way from the shortest to the longest."""
        return self.low_s + share * (self.high_s - self.low_s)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Most calls take about the median and a few take much longer, as with real services."""

    median_s: float
    """Half of the calls take less; more than zero."""
    p99_s: float
    """99 of 100 calls take less."""

    def __post_init__(self) -> None:
        if not 0 < self.median_s <= self.p99_s < math.inf:
            raise ValueError(
                "a latency must have a median above 0 and a p99 that is not smaller,"
                f" not {self.median_s} and {self.p99_s}"
            )

    def quantile_s(self, share: float) -> float:
        """Return that quantile of the lognormal distribution with this median and p99."""
        sigma = math.log(self.p99_s / self.median_s) / _NORMAL.inv_cdf(0.99)
        return self.median_s * math.exp(sigma * _NORMAL.inv_cdf(share))


def parse_latency(text: str) -> Latency:
    """Read ``0.2``, ``uniform:0.1,0.5`` or ``lognormal:0.4,2`` (median and p99), all in seconds.

    Raises:
        ValueError: the text has none of these forms.
    """
    kind, colon, rest = text.partition(":")
    try:
        numbers = [float(number) for number in (rest if colon else kind).split(",")]
    except ValueError:
        numbers = []
    match (kind if colon else "constant"), numbers:
        case "constant", [seconds]:
            return Constant(seconds)
        case "uniform", [low_s, high_s]:
            return Uniform(low_s, high_s)
        case "lognormal", [median_s, p99_s]:
            return Lognormal(median_s, p99_s)
    raise ValueError(f"a latency must be like 0.2, uniform:0.1,0.5 or lognormal:0.4,2, not {text!r}")
