"""Answers gone wrong, to order: in a script, by chance, or both.

A fault is a word, for some with a value behind a colon: ``503``, ``429:7``, ``reset``, ``drip:30``. It
happens to calls that the gateway has let through: they count against the rate like any other, and what is
refused for its key, its path or the rate is not struck. What it costs follows from the status that was sent:
a 200 is billed, even if nobody can read what comes after it.
"""

from __future__ import annotations

import gzip
import random
import re
from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import orjson

from semart_vectors.emulator import refusals
from semart_vectors.emulator.messages import PATH_PREFIX, Answer
from semart_vectors.emulator.vectors import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NUMBERS: Final[Mapping[str, float]] = MappingProxyType(
    {"cut": 0.5, "slow-headers": 10.0, "drip": 10.0, "length": 1023}
)
"""The kinds whose value is a number, and the number meant when none is named."""
DELIVERIES: Final = frozenset({"reset", "cut", "slow-headers", "drip"})
"""The kinds that leave the answer as it is and spoil its way to the client."""
_NO_HEADER = re.compile(r"[^\x20-\x7e\x80-\xff]")
_REDIRECTS, _STATUSES = range(300, 400), range(201, 600)
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>\r\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong."""

    kind: str
    """A status other than 200, or one of `DELIVERIES`, `SPOILT` or ``none``."""
    value: str = ""
    """With a status the raw ``Retry-After``, or ``Location`` for a redirect. With ``cut`` the share of the
    body that is sent, with ``slow-headers`` the seconds before them, with ``drip`` the seconds for the whole
    body, byte by byte, with ``length`` how many numbers there are."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Further headers of an answer with a status; they go before those of the value."""

    def __post_init__(self) -> None:
        if not (self.kind in KINDS or (self.kind.isascii() and self.kind.isdecimal() and self._is_status())):
            raise ValueError(f"a fault must be a status or one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind in NUMBERS and not 0 <= self.number <= (1 if self.kind == "cut" else 1e6):
            raise ValueError(f"{self} is out of bounds")
        if self.kind in KINDS.keys() - NUMBERS.keys() and self.value:
            raise ValueError(f"{self.kind} takes no value")
        if any(map(_NO_HEADER.search, (self.value, *self.headers, *self.headers.values()))):
            raise ValueError(f"no header can carry {self.value!r} and {dict(self.headers)!r}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}" if self.value else self.kind

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``KIND`` or ``KIND:VALUE``.

        Raises:
            ValueError: there is no such fault.
        """
        kind, _, value = text.partition(":")
        return cls(kind.strip(), value.strip())

    @property
    def number(self) -> float:
        """The value of those whose value is a number.

        Raises:
            ValueError: it is none.
        """
        return float(self.value or NUMBERS[self.kind])

    def instead(self, operation: str, api_version: str, tier: str) -> Answer | None:
        """Return the answer in place of the true one, which nobody computes then; None if it has to be."""
        if not self.kind.isdecimal():
            return None
        status = int(self.kind)
        location = self.value or f"{PATH_PREFIX}{operation}?api-version={api_version}"
        if status in _REDIRECTS:
            return Answer(status, b"", headers={"location": location, **self.headers})
        said = {"retry-after": self.value} if self.value else {}
        if status == _NO_CONTENT:
            return Answer(status, b"", headers=self.headers)
        if status in _PAGES:
            page = _HTML.format(f"{status} {_PAGES[status]}").encode()
            return Answer(status, page, "text/html", {**said, **self.headers})
        if status == _FORBIDDEN:
            return Answer(status, orjson.dumps(refusals.QUOTA_USED_UP), headers={**said, **self.headers})
        answer = Answer.of(_refusal(status, operation, api_version, tier, self.value))
        return Answer(status, answer.content, headers={**answer.headers, **said, **self.headers})

    def spoil(self, answer: Answer) -> Answer:
        """Return what becomes of a good answer."""
        return SPOILT[self.kind](self, answer) if self.kind in SPOILT else answer

    def _is_status(self) -> bool:
        return int(self.kind) in _STATUSES


class Faults:
    """What goes wrong, and when: first as the script says, then by chance. A seed decides all chance.

    ::

        emulator.faults.next(3, "503", operation="vectorizeImage")
        emulator.faults.at_random(0.05, "reset")
    """

    def __init__(self, by_chance: Mapping[str, float] | None = None, *, seed: int = 0) -> None:
        self._script: deque[_Ordered] = deque()
        self._by_chance: dict[Fault, float] = {}
        self._random = random.Random(f"faults {seed}")  # noqa: S311 - the same story twice, not a secret
        for text, probability in (by_chance or {}).items():
            self.at_random(probability, text)

    def __repr__(self) -> str:
        return f"Faults({self.listed()})"

    def next(self, times: int, fault: Fault | str, *, operation: str | None = None) -> None:
        """Let the next so many calls (to one operation, if it is named) go wrong, after those ordered before.

        The fault ``none`` lets them go right.
        """
        if times < 1:
            raise ValueError(f"times must be one or more, not {times}")
        if operation not in (None, "vectorizeImage", "vectorizeText"):
            raise ValueError(f"operation must be vectorizeImage or vectorizeText, not {operation!r}")
        self._script.append(_Ordered(_fault(fault), times, operation))

    def at_random(self, probability: float, fault: Fault | str) -> None:
        """Let each call go wrong with a probability, in place of an earlier one of this fault; 0 ends it."""
        meant = _fault(fault)
        others = sum(known for other, known in self._by_chance.items() if other != meant)
        if not 0 <= probability <= 1 - others + 1e-9:
            raise ValueError(
                f"the probabilities of all faults must be 0 to 1 in sum; {meant} has {probability}"
            )
        self._by_chance[meant] = probability
        if not probability:
            del self._by_chance[meant]

    def clear(self) -> None:
        """Let everything go right again; chance goes on where it was."""
        self._script.clear()
        self._by_chance.clear()

    def listed(self) -> dict[str, object]:
        """Return what is still to come, for people and programs."""
        return {
            "script": [
                {
                    "fault": str(ordered.fault),
                    "times": ordered.times,
                    "operation": ordered.operation,
                    "headers": dict(ordered.fault.headers),
                }
                for ordered in self._script
            ],
            "by_chance": {str(fault): probability for fault, probability in self._by_chance.items()},
        }

    def draw(self, operation: str) -> Fault | None:
        """Decide about one call. Each draws once, so that orders made on the way change no later fate."""
        drawn = self._random.random()
        for ordered in self._script:
            if ordered.operation in (None, operation):
                ordered.times -= 1
                if not ordered.times:
                    self._script.remove(ordered)
                return None if ordered.fault.kind == "none" else ordered.fault
        for fault, probability in self._by_chance.items():
            drawn -= probability
            if drawn < 0:
                return None if fault.kind == "none" else fault
        return None


@dataclass(eq=False, slots=True)
class _Ordered:
    fault: Fault
    times: int
    operation: str | None


def _fault(fault: Fault | str) -> Fault:
    return Fault.parse(fault) if isinstance(fault, str) else fault


_NO_CONTENT: Final = 204
_FORBIDDEN: Final = 403
_PAGES: Final = {502: "Bad Gateway", 504: "Gateway Time-out"}


def _refusal(status: int, operation: str, api_version: str, tier: str, wait: str) -> refusals.Refusal:
    match status:
        case 401:
            return refusals.access_denied()
        case 404:
            return refusals.not_found()
        case 410:
            return refusals.gone(api_version)
        case 429:
            seconds = int(wait) if wait.isascii() and wait.isdecimal() else 1
            return refusals.rate_exceeded(operation, seconds, api_version=api_version, tier=tier, headers={})
        case 503:
            return refusals.unavailable()
    codes = {408: "Timeout", 500: "InternalServerError"}
    return refusals.Refusal(status, codes.get(status, str(status)), "The request could not be answered.")


def _renumbered(change: Callable[[Fault, list[bytes]], list[bytes]]) -> Callable[[Fault, Answer], Answer]:
    """Make a fault of a change to the numbers, which stay in their very digits."""

    def spoil(fault: Fault, answer: Answer) -> Answer:
        head, begin, rest = answer.content.partition(b"[")
        numbers, end, tail = rest.partition(b"]")
        changed = b",".join(change(fault, numbers.split(b",")))
        return Answer(answer.status, head + begin + changed + end + tail)

    return spoil


def _of_length(fault: Fault, numbers: list[bytes]) -> list[bytes]:
    length = int(fault.number)
    return (numbers * (length // len(numbers) + 1))[:length]


def _of_another_model(answer: Answer) -> Answer:
    content = answer.content
    told = orjson.loads(content)["modelVersion"]
    other = next(model for model in MODELS if model != told)
    return Answer(answer.status, content.replace(told.encode(), other.encode(), 1))


SPOILT: Final[Mapping[str, Callable[[Fault, Answer], Answer]]] = MappingProxyType(
    {
        "not-json": lambda _, answer: Answer(answer.status, answer.content[: len(answer.content) // 2]),
        "html": lambda _, answer: Answer(answer.status, _HTML.format("Sign in").encode(), "text/html"),
        "empty": lambda _, answer: Answer(answer.status, b""),
        "length": _renumbered(_of_length),
        "nan": _renumbered(lambda _, numbers: [b"NaN", *numbers[1:]]),
        "strings": _renumbered(lambda _, numbers: [b'"%s"' % number for number in numbers]),
        "other-model": lambda _, answer: _of_another_model(answer),
        "gzip": lambda _, answer: Answer(
            answer.status,
            gzip.compress(answer.content, mtime=0),
            headers={**answer.headers, "content-encoding": "gzip"},
        ),
    }
)
"""The kinds that spoil a good answer; one that is no 200 stays as it is."""

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "none": "the call goes right",
        "reset": "the connection is reset before any answer",
        "cut": "the connection ends within the body",
        "slow-headers": "nothing comes for some seconds",
        "drip": "the body comes byte by byte",
        "not-json": "a 200 with half a JSON object",
        "html": "a 200 with a page",
        "empty": "a 200 with no body",
        "length": "a vector of another length",
        "nan": "a vector with a NaN",
        "strings": "a vector of strings",
        "other-model": "a vector that says it is of another model",
        "gzip": "a good answer, compressed unasked",
    }
)
"""The kinds besides the statuses."""
