"""The settings of the emulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from semart_vectors.emulator.faults import Faults
from semart_vectors.emulator.latency import Constant, Latency
from semart_vectors.emulator.rate_limit import LIMITS, TIERS, LimitKind, RateLimit, Tier, Unlimited
from semart_vectors.emulator.upstream import checked_upstream

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping


class Options(TypedDict, total=False):
    """The fields of `Settings` as keywords, for functions that pass them on."""

    key: str | None
    requests_per_second: float | None
    limit_kind: LimitKind
    tier: Tier | None
    retry_after: bool
    latency_s: float | Latency
    vector_first: bool
    faults: Mapping[str, float]
    seed: int
    replay: str | os.PathLike[str] | None
    replay_else_compute: bool
    record: str | os.PathLike[str] | None
    upstream: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the emulated resource behaves."""

    key: str | None = None
    """The only accepted key; with None every key that is not empty is accepted."""
    requests_per_second: float | None = None
    """The rate limit of both operations together; None for that of the tier."""
    limit_kind: LimitKind = "sliding"
    """How the rate is counted: in a sliding window, in fixed windows, or by a token bucket."""
    tier: Tier | None = None
    """The pricing tier, whose rate applies unless `requests_per_second` is given."""
    retry_after: bool = True
    """Whether a 429 has a ``Retry-After`` header; its message always says how long to wait."""
    latency_s: float | Latency = 0.0
    """The minimum time from a request to its answer, in seconds, or the distribution of it."""
    vector_first: bool = False
    """Whether an answer has its vector before its model: the documentation shows both orders."""
    faults: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """The probability of each fault; the keys are what `Fault.parse` reads."""
    seed: int = 0
    """The seed of chance: with the same seed and order of calls, faults and latencies are the same."""
    replay: str | os.PathLike[str] | None = None
    """A folder of recordings to answer from."""
    replay_else_compute: bool = False
    """Whether to compute a vector for what the folder does not hold, instead of refusing it."""
    record: str | os.PathLike[str] | None = None
    """A folder to add the answers of the upstream to."""
    upstream: str | None = None
    """The endpoint of the real service, which is asked for what is not replayed, with the caller's key."""

    def __post_init__(self) -> None:
        if self.key is not None and not self.key.strip():
            raise ValueError("key must not be blank; None accepts every key")
        if self.limit_kind not in LIMITS:
            raise ValueError(f"limit_kind must be one of {', '.join(LIMITS)}, not {self.limit_kind}")
        if self.tier not in (None, *TIERS):
            raise ValueError(f"tier must be one of {', '.join(TIERS)}, or None, not {self.tier}")
        if self.record is not None and self.upstream is None:
            raise ValueError("record needs an upstream, whose answers are recorded")
        if self.replay_else_compute and (self.replay is None or self.upstream is not None):
            raise ValueError("replay_else_compute needs a folder to replay, and no upstream")
        if self.upstream is not None:
            checked_upstream(self.upstream)
        # Each of these raises a ValueError for settings that it cannot use.
        self.latency()
        self.new_faults()
        self.rate_limit(lambda: 0.0)

    @property
    def rate(self) -> float | None:
        """The rate limit in calls a second: `requests_per_second`, or the tier's; None for no limit."""
        if self.requests_per_second is None and self.tier is not None:
            return TIERS[self.tier]
        return self.requests_per_second

    @property
    def computes(self) -> bool:
        """Whether vectors are computed for what is neither replayed nor asked of an upstream."""
        return self.replay is None or self.replay_else_compute

    def latency(self) -> Latency:
        """Return the distribution of the latency."""
        return Constant(self.latency_s) if isinstance(self.latency_s, int | float) else self.latency_s

    def new_faults(self) -> Faults:
        """Return new `Faults` with the probabilities of these settings."""
        return Faults(self.faults, seed=self.seed)

    def rate_limit(self, clock: Callable[[], float]) -> RateLimit:
        """Return a new rate limit, as these settings describe it."""
        rate = self.rate
        return Unlimited() if rate is None else LIMITS[self.limit_kind].of_rate(rate, clock=clock)
