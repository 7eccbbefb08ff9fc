"""The service's key: checked, and hidden from whatever might show it."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from semart_vectors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from semart_vectors.service.messages import ServiceAnswer

_MIN_SECRET_LENGTH = 6
"""A shorter key would be found in sentences of ours."""

ErrorT = TypeVar("ErrorT", bound=BaseException)


class Secret(str):
    """A text that tracebacks with variables do not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Key:
    """A key, and every form in which an answer or a message might repeat it."""

    def __init__(self, key: str | None) -> None:
        """Take a key as it was handed in; blanks around it are dropped, as a trailing one gives a 401."""
        self.value = Secret((key or "").strip())
        self._forms = _written_forms(self.value)

    def __repr__(self) -> str:
        return "Key('***')"

    def check(self) -> None:
        """Refuse what cannot be a key.

        Raises:
            ConfigurationError: it is missing, or has characters that no HTTP header can carry.
        """
        if not self.value:
            raise ConfigurationError(
                "the key is missing: pass the key of the Azure AI Vision resource (VISION_KEY)"
            )
        if not self.value.isascii() or not self.value.isprintable():
            raise ConfigurationError("the key has characters that no key has; copy it again (VISION_KEY)")

    def hide(self, text: str) -> str:
        """Return a text without the key."""
        for form in self._forms:
            text = text.replace(form, "***")
        return text

    def hide_in_answer(self, answer: ServiceAnswer) -> ServiceAnswer:
        """Take the key out of a refusal, which may end in a message or a log."""
        body = answer.body
        for form in self._forms:
            body = body.replace(form.encode(), b"***")
        headers = {name.lower(): self.hide(value) for name, value in answer.headers.items()}
        return answer._replace(headers=headers, body=body)

    def hide_in_error(self, error: ErrorT) -> ErrorT:
        """Take the key out of an error's words and attributes, and out of the frames that it would keep."""
        error.args = tuple(self.hide(str(text)) for text in error.args)
        vars(error).update(self._hide_in(vars(error)))
        error.__context__ = None
        return error.with_traceback(None)

    def _hide_in(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Take it out of what an answer named: a code, say, that JSON spelled letter by letter."""
        hidden = dict(values)
        for name, value in values.items():
            if isinstance(value, str):
                hidden[name] = self.hide(value)
            elif isinstance(value, dict):
                hidden[name] = self._hide_in(value)
        return hidden


def _written_forms(key: Secret) -> list[Secret]:
    """Write a key as it is, and as Python, JSON, HTML and addresses escape it; the longest comes first."""
    text = str(key)
    if len(text) < _MIN_SECRET_LENGTH:
        return []
    forms: Iterable[str] = {
        text,
        str.__repr__(text)[1:-1],
        json.dumps(text)[1:-1],
        html.escape(text),
        quote(text, safe="", errors="surrogatepass"),
    }
    return [Secret(form) for form in sorted(forms, key=len, reverse=True)]
