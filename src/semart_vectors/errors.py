"""What can go wrong, as one tree.

::

    SemartVectorsError
    ├── ConfigurationError (ValueError)      endpoint, key or an option missing or unusable, before any call
    ├── ApiError                             what the service answered: status_code, code, request_id
    ├── ItemError                            one image or text: source, attempts
    │   ├── UnreadableImageError (OSError)   the file could not be read
    │   ├── InvalidInputError (ApiError, ValueError)  refused, here or by the service: format, size, words
    │   └── RetriesExhaustedError (ApiError) the service kept failing for it
    │       └── RateLimitError               it kept answering 429: retry_after_s
    ├── RunError                             every further call would fare the same: batch
    │   ├── AuthenticationError (ApiError)   the key or its permission was refused
    │   ├── QuotaExceededError (ApiError)    the quota is used up
    │   ├── EndpointError (ApiError)         not this service, or not reachable as given
    │   ├── ServiceUnavailableError (ApiError)  it has been down for too long
    │   ├── ModelMismatchError (ApiError)    vectors of another model than those asked for
    │   └── OutOfResourcesError (OSError)    this machine lacks memory or file descriptors
    ├── CheckpointError                      the record of what is done cannot be used
    │   ├── CheckpointDamagedError           its bytes are not what was written
    │   ├── CheckpointMismatchError (ValueError)  it holds another model, format or images
    │   └── CheckpointInUseError             another process writes to it
    ├── DiskError (OSError)                  the disk refused to read or write: full, read-only, failing
    ├── MetadataError (ValueError)           a table, or the folder it should be in, cannot be used
    ├── VectorFileError (ValueError)         a file of vectors, such as a merged one, cannot be used
    ├── DatabaseError                        PostgreSQL cannot be reached, or refused
    └── BatchError (ExceptionGroup)          the failures of a batch together, when asked to raise them

An `ItemError` concerns one image and is a value in every batch; the others end what they happen in. An error
that is an `ApiError` too came from an answer of the service, and says which.
No message and no repr ever holds the key, or a database's password.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SemartVectorsError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigurationError(SemartVectorsError, ValueError):
    """An endpoint, key or option is missing or unusable; raised before any call."""


class ApiError(SemartVectorsError):
    """What the service answered instead of a vector, as far as it did answer.

    Its subclasses are errors of an image or of the run too, and some of them are raised without any answer:
    an image refused before it is sent, an endpoint that nobody listens at. Then all three are None.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        """HTTP status of the answer; of the last one, if there were several."""
        self.code = code
        """What the service calls the error, such as ``InvalidRequest`` or ``"401"``."""
        self.request_id = request_id
        """The answer's ``apim-request-id``: what Azure's support asks for."""


class ItemError(SemartVectorsError):
    """What failed concerns one image or text; its siblings are unaffected."""

    source: object = None
    """The image or text, as it was handed in."""
    attempts: int = 0
    """How many calls were made for it; 0 when it was refused before the first."""


class UnreadableImageError(ItemError, OSError):
    """The image could not be read: missing, a directory, a pipe, no permission."""


class InvalidInputError(ItemError, ApiError, ValueError):
    """The image or text was refused, before a call or by the service; trying again will not help."""

    is_explained: bool = True
    """Whether it is known what is wrong with it: False for a service's refusal without a word."""


class RetriesExhaustedError(ItemError, ApiError):
    """The service failed on every attempt; the attributes are those of the last answer."""


class RateLimitError(RetriesExhaustedError):
    """The service answered 429 for longer than `RetryPolicy.throttled_limit_s`, and others got through."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status_code=status_code, code=code, request_id=request_id)
        self.retry_after_s = retry_after_s
        """How long the last answer asked to wait, in seconds; None where it did not say."""


class RunError(SemartVectorsError):
    """Every further call would fare the same, so the run stops; what is done stays done."""

    batch: Any = None
    """The `EmbeddingBatch` that `embed_images` had when it stopped: paid for, so not thrown away."""


class AuthenticationError(RunError, ApiError):
    """The service refused the key, or what the key may do."""


class QuotaExceededError(RunError, ApiError):
    """The quota of the resource is used up."""


class EndpointError(RunError, ApiError):
    """The endpoint is not this service, has retired this API, or cannot be reached or trusted."""


class ServiceUnavailableError(RunError, ApiError):
    """The service has been down for longer than `RetryPolicy.outage_limit_s`; no image is to blame."""


class ModelMismatchError(RunError, ApiError):
    """The answer, or a query, is of another model than asked for: their vectors cannot be compared."""


class OutOfResourcesError(RunError, OSError):
    """This machine has no more file descriptors or memory; no image is to blame."""


class CheckpointError(SemartVectorsError):
    """The record of what is done cannot be used."""


class CheckpointDamagedError(CheckpointError):
    """A file of the checkpoint does not hold what was written to it."""


class CheckpointMismatchError(CheckpointError, ValueError):
    """The checkpoint is of another model, dimension or format, or of other images of the same names."""


class CheckpointInUseError(CheckpointError):
    """Another process is writing to the checkpoint."""


class DiskError(SemartVectorsError, OSError):
    """The disk refused to read or write; an earlier file is unchanged."""


class MetadataError(SemartVectorsError, ValueError):
    """A metadata table, or the folder it should be in, cannot be used."""


class VectorFileError(SemartVectorsError, ValueError):
    """A file of vectors, such as one that `merge_vectors` wrote, cannot be used."""


class DatabaseError(SemartVectorsError):
    """PostgreSQL cannot be reached, lacks pgvector, or refused. A load is all there, or not at all."""


class BatchError(ExceptionGroup[ItemError], SemartVectorsError):
    """The failures of a batch, raised together by `EmbeddingBatch.raise_for_failures`."""

    def derive(self, excs: Sequence[ItemError], /) -> BatchError:  # type: ignore[override] # holds no others
        """Keep what ``except*`` leaves over an error of this tree."""
        return BatchError(self.message, excs)


_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def name_image(error: ItemError, image: object) -> None:
    """Name an image in what an error says; of one that was given as bytes, show the beginning in a note."""
    if not isinstance(image, str | os.PathLike):
        shown = image[:200] if isinstance(image, bytes) else image
        error.add_note(f"image: {shown!r}"[:200])
        return
    name = os.fsdecode(image)
    if name[:8].lower() == "https://":
        name = name.partition("?")[0]  # what follows may be a secret
    if name not in str(error):
        error.args = (f"{name[:200]}: {error}", *error.args[1:])


def is_out_of_resources(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that this machine has no more of something."""
    return any(isinstance(each, OSError) and each.errno in _OUT_OF_RESOURCES for each in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from causes(each)
        error = error.__cause__ or error.__context__
