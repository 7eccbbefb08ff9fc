"""Faults of the emulated service: what can go wrong, and when: in a script, by chance, or both.

A fault is a word, for some with a value after a colon: ``503``, ``429:7``, ``reset``, ``drip:30``. It happens
to calls that the gateway has admitted, which count against the rate as usual; calls that are refused for
their key, their path or the rate meet no fault. What a call costs follows from the status that was sent: a
200 is billed, even if its body cannot be read.
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

from semart_vectors.emulator import error_responses
from semart_vectors.emulator.computed_vectors import MODELS
from semart_vectors.emulator.http_messages import PATH_PREFIX, Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NUMBERS: Final[Mapping[str, float]] = MappingProxyType(
    {"cut": 0.5, "slow-headers": 10.0, "drip": 10.0, "length": 1023}
)
"""The kinds whose value is a number, and its default."""
_NO_HEADER = re.compile(r"[^\x20-\x7e\x80-\xff]")
_REDIRECTS, _STATUSES = range(300, 400), range(201, 600)
_HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>\r\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    kind: str
    """An HTTP status other than 200, or one of `KINDS`."""
    value: str = ""
    """For a status the raw ``Retry-After``, or ``Location`` for a redirect. For ``cut`` the share of the body
    that is sent, for ``slow-headers`` the seconds before the headers, for ``drip`` the seconds that the whole
    body takes, for ``length`` how many numbers the vector has."""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """More headers for an answer with a status; they override the header from the value."""

    def __post_init__(self) -> None:
        if not (self.kind in KINDS or (self.kind.isascii() and self.kind.isdecimal() and self._is_status())):
            raise ValueError(f"a fault must be a status or one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind in NUMBERS and not 0 <= self.number <= (1 if self.kind == "cut" else 1e6):
            raise ValueError(f"{self} is out of bounds")
        if self.kind in KINDS.keys() - NUMBERS.keys() and self.value:
            raise ValueError(f"{self.kind} takes no value")
        if any(map(_NO_HEADER.search, (self.value, *self.headers, *self.headers.values()))):
            raise ValueError(f"{self.value!r} and {dict(self.headers)!r} cannot be sent as headers")

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
        """The value as a number, for the kinds in `NUMBERS`.

        Raises:
            ValueError: it is not a number.
        """
        return float(self.value or NUMBERS[self.kind])

    def instead(self, operation: str, api_version: str, tier: str) -> Answer | None:
        """Return the answer that is sent instead of a vector; None if this fault needs the vector."""
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
            return Answer(
                status, orjson.dumps(error_responses.QUOTA_USED_UP), headers={**said, **self.headers}
            )
        answer = Answer.of(_refusal(status, operation, api_version, tier, self.value))
        return Answer(status, answer.content, headers={**answer.headers, **said, **self.headers})

    def spoil(self, answer: Answer) -> Answer:
        """Return a good answer with this fault in it."""
        return SPOILT[self.kind](self, answer) if self.kind in SPOILT else answer

    def _is_status(self) -> bool:
        return int(self.kind) in _STATUSES


class Faults:
    """Decides which call meets which fault: first by the script, then by chance, with a seed.

    ::

        emulator.faults.next(3, "503", operation="vectorizeImage")
        emulator.faults.at_random(0.05, "reset")
    """

    def __init__(self, by_chance: Mapping[str, float] | None = None, *, seed: int = 0) -> None:
        self._script: deque[_ScriptEntry] = deque()
        self._by_chance: dict[Fault, float] = {}
        self._random = random.Random(f"faults {seed}")  # noqa: S311 - to be repeatable, not secret
        for text, probability in (by_chance or {}).items():
            self.at_random(probability, text)

    def __repr__(self) -> str:
        return f"Faults({self.listed()})"

    def next(self, times: int, fault: Fault | str, *, operation: str | None = None) -> None:
        """Add to the script: the next `times` calls, to one operation or to both, meet this fault.

        Entries are used in the order in which they were added. With the fault ``none`` the calls succeed.
        """
        if times < 1:
            raise ValueError(f"times must be one or more, not {times}")
        if operation not in (None, "vectorizeImage", "vectorizeText"):
            raise ValueError(f"operation must be vectorizeImage or vectorizeText, not {operation!r}")
        self._script.append(_ScriptEntry(_fault(fault), times, operation))

    def at_random(self, probability: float, fault: Fault | str) -> None:
        """Set the probability with which each call meets a fault; 0 removes the fault."""
        fault = _fault(fault)
        others = sum(known for other, known in self._by_chance.items() if other != fault)
        if not 0 <= probability <= 1 - others + 1e-9:
            raise ValueError(
                f"the probabilities of all faults must add up to 0 to 1; {fault} has {probability}"
            )
        self._by_chance[fault] = probability
        if not probability:
            del self._by_chance[fault]

    def clear(self) -> None:
        """Remove all faults, without resetting the random numbers."""
        self._script.clear()
        self._by_chance.clear()

    def listed(self) -> dict[str, object]:
        """Return the faults to come, as plain values."""
        return {
            "script": [
                {
                    "fault": str(entry.fault),
                    "times": entry.times,
                    "operation": entry.operation,
                    "headers": dict(entry.fault.headers),
                }
                for entry in self._script
            ],
            "by_chance": {str(fault): probability for fault, probability in self._by_chance.items()},
        }

    def draw(self, operation: str) -> Fault | None:
        """Decide about one call.

        Every call draws one random number, so that adding to the script changes nothing for later calls.
        """
        drawn = self._random.random()
        for entry in self._script:
            if entry.operation in (None, operation):
                entry.times -= 1
                if not entry.times:
                    self._script.remove(entry)
                return None if entry.fault.kind == "none" else entry.fault
        for fault, probability in self._by_chance.items():
            drawn -= probability
            if drawn < 0:
                return None if fault.kind == "none" else fault
        return None


@dataclass(eq=False, slots=True)
class _ScriptEntry:
    fault: Fault
    times: int
    operation: str | None


def _fault(fault: Fault | str) -> Fault:
    return Fault.parse(fault) if isinstance(fault, str) else fault


_NO_CONTENT: Final = 204
_FORBIDDEN: Final = 403
_PAGES: Final = {502: "Bad Gateway", 504: "Gateway Time-out"}


def _refusal(
    status: int, operation: str, api_version: str, tier: str, wait: str
) -> error_responses.ErrorResponse:
    match status:
        case 401:
            return error_responses.access_denied()
        case 404:
            return error_responses.not_found()
        case 410:
            return error_responses.gone(api_version)
        case 429:
            seconds = int(wait) if wait.isascii() and wait.isdecimal() else 1
            return error_responses.rate_exceeded(
                operation, seconds, api_version=api_version, tier=tier, headers={}
            )
        case 503:
            return error_responses.unavailable()
    codes = {408: "Timeout", 500: "InternalServerError"}
    return error_responses.ErrorResponse(
        status, codes.get(status, str(status)), "The request could not be answered."
    )


def _numbers_changed(
    change: Callable[[Fault, list[bytes]], list[bytes]],
) -> Callable[[Fault, Answer], Answer]:
    """Make a fault of a change to the list of numbers, whose digits stay as they are."""

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
    named = orjson.loads(content)["modelVersion"]
    other = next(model for model in MODELS if model != named)
    return Answer(answer.status, content.replace(named.encode(), other.encode(), 1))


SPOILT: Final[Mapping[str, Callable[[Fault, Answer], Answer]]] = MappingProxyType(
    {
        "not-json": lambda _, answer: Answer(answer.status, answer.content[: len(answer.content) // 2]),
        "html": lambda _, answer: Answer(answer.status, _HTML.format("Sign in").encode(), "text/html"),
        "empty": lambda _, answer: Answer(answer.status, b""),
        "length": _numbers_changed(_of_length),
        "nan": _numbers_changed(lambda _, numbers: [b"NaN", *numbers[1:]]),
        "strings": _numbers_changed(lambda _, numbers: [b'"%s"' % number for number in numbers]),
        "other-model": lambda _, answer: _of_another_model(answer),
        "gzip": lambda _, answer: Answer(
            answer.status,
            gzip.compress(answer.content, mtime=0),
            headers={**answer.headers, "content-encoding": "gzip"},
        ),
    }
)
"""The kinds that change a good answer; an answer other than 200 stays as it is."""

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "none": "the call succeeds",
        "reset": "the connection is reset before any answer",
        "cut": "the connection ends within the body",
        "slow-headers": "nothing is sent for some seconds",
        "drip": "the body is sent byte by byte",
        "not-json": "a 200 with half a JSON object",
        "html": "a 200 with an HTML page",
        "empty": "a 200 with no body",
        "length": "a vector of another length",
        "nan": "a vector with a NaN",
        "strings": "a vector of strings",
        "other-model": "a vector labelled with another model",
        "gzip": "a good answer, compressed without being asked for",
    }
)
"""The kinds besides the statuses, each with what it does."""
