"""Azure AI Vision as pure functions: a request out, a vector or the right error in.

No I/O, no clock, no logging: every odd answer of the service is a two-line test.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

from semart_vectors.errors import InvalidInputError, ModelMismatchError
from semart_vectors.service.azure_errors import error_for
from semart_vectors.service.messages import ServiceRequest, TransientError
from semart_vectors.service.vectors import parse_vector

if TYPE_CHECKING:
    from semart_vectors.records import Vector
    from semart_vectors.service.messages import ServiceAnswer

API_VERSION = "2024-02-01"
"""The generally available version; all previews were retired on 2025-03-31."""

MODEL_VERSION = "2023-04-15"
"""The multilingual model."""

MODEL_VERSIONS = (MODEL_VERSION, "2022-04-11")
"""All there are; the older one knows English only."""


def image_request(image: bytes) -> ServiceRequest:
    """Ask for the vector of an image given by its bytes."""
    return ServiceRequest("vectorizeImage", image, "application/octet-stream")


def image_url_request(url: str) -> ServiceRequest:
    """Ask for the vector of an image that the service fetches itself."""
    return ServiceRequest("vectorizeImage", _json({"url": url}), "application/json")


def text_request(text: str) -> ServiceRequest:
    """Ask for the vector of a text."""
    return ServiceRequest("vectorizeText", _json({"text": text}), "application/json")


def _json(content: dict[str, str]) -> bytes:
    try:
        return orjson.dumps(content)
    except TypeError as error:  # half a surrogate pair
        raise InvalidInputError("it has characters that are not Unicode text") from error


def request_url(endpoint: str, operation: str, model_version: str) -> str:
    """Put the address of an operation together; the endpoint has no trailing slash."""
    return (
        f"{endpoint}/computervision/retrieval:{operation}"
        f"?api-version={API_VERSION}&model-version={model_version}"
    )


def read_vector(answer: ServiceAnswer, *, model_version: str) -> Vector:
    """Return the vector of an answer, checked, or raise what the answer means.

    Raises:
        TransientError: trying again may help: 408, 429, 5xx, or a 200 that cannot be read.
        semart_vectors.errors.ItemError: this image or text was refused; the others are unaffected.
        semart_vectors.errors.RunError: every further call would fare the same.
    """
    if answer.status != HTTPStatus.OK:
        raise error_for(answer)
    try:
        vector, answered = parse_vector(answer.body)
    except TransientError as error:
        error.attributes = answer.attributes()
        raise
    if answered != model_version:
        raise ModelMismatchError(
            f"the service answered with model {answered!r} although {model_version!r} was asked for; "
            "vectors of different models cannot be compared, so the run stops",
            **answer.attributes(),
        )
    return vector
