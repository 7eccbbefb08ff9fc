"""What can go wrong, as one tree.

::

    SemartVectorsError
    ├── ConfigurationError (ValueError)      endpoint, key or an option missing or unusable, before any call
    ├── ItemError                            one image or text; becomes an `EmbeddingFailure` in a batch
    │   ├── UnreadableImageError (OSError)   the file could not be read
    │   ├── InvalidInputError (ValueError)   refused, here or by the service: format, size, words
    │   └── RetriesExhaustedError            the service kept failing for it
    ├── RunError                             every further call would fare the same: the run stops
    │   ├── AuthenticationError              the key or its permission was refused
    │   ├── QuotaExceededError               the quota is used up
    │   ├── EndpointError                    not this service, or not reachable as given
    │   ├── ServiceUnavailableError          it has been down for too long
    │   ├── OutOfResourcesError (OSError)    this machine lacks memory or file descriptors
    │   └── ModelMismatchError               vectors of another model than those asked for
    ├── CheckpointError                      the record of what is done cannot be used
    │   ├── CheckpointDamagedError           its bytes are not what was written
    │   ├── CheckpointMismatchError (ValueError)  it holds another model, dimension or format
    │   ├── CheckpointInUseError             another process writes to it
    │   └── CheckpointDiskError (OSError)    the disk refused: full, read-only, failing
    ├── MetadataError (ValueError)           a table, or the folder it should be in, cannot be used
    ├── DatabaseError                        PostgreSQL cannot be reached, or refused
    └── BatchError (ExceptionGroup)          the failures of a batch together, when asked to raise them

An `ItemError` concerns one image and is a value in every batch; the others end what they happen in.
No message and no repr ever holds the key, or a database's password.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class SemartVectorsError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigurationError(SemartVectorsError, ValueError):
    """An endpoint, key or option is missing or unusable; raised before any call."""


class ItemError(SemartVectorsError):
    """What failed concerns one image or text; its siblings are unaffected."""

    attempts: int = 0
    """How many calls were made for it; 0 when it was refused before the first."""


class UnreadableImageError(ItemError, OSError):
    """The image could not be read: missing, a directory, a pipe, no permission."""


class InvalidInputError(ItemError, ValueError):
    """The image or text was refused, before a call or by the service; trying again will not help."""


class RetriesExhaustedError(ItemError):
    """The service failed on every attempt; the last answer is the `__cause__`."""


class RunError(SemartVectorsError):
    """Every further call would fare the same, so the run stops; what is done stays done."""

    batch: Any = None
    """The `EmbeddingBatch` that `embed_images` had when it stopped: paid for, so not thrown away."""


class AuthenticationError(RunError):
    """The service refused the key, or what the key may do."""


class QuotaExceededError(RunError):
    """The quota of the resource is used up."""


class EndpointError(RunError):
    """The endpoint is not this service, has retired this API, or cannot be reached or trusted."""


class ServiceUnavailableError(RunError):
    """The service has been down for longer than `RetryPolicy.outage_limit_s`; no image is to blame."""


class OutOfResourcesError(RunError, OSError):
    """This machine has no more file descriptors or memory; no image is to blame."""


class ModelMismatchError(RunError):
    """The service's answer, or a query, is of another model than asked for: vectors of two do not compare."""


class CheckpointError(SemartVectorsError):
    """The record of what is done cannot be used."""


class CheckpointDamagedError(CheckpointError):
    """A file of the checkpoint does not hold what was written to it."""


class CheckpointMismatchError(CheckpointError, ValueError):
    """The checkpoint belongs to another model, dimension or format version."""


class CheckpointInUseError(CheckpointError):
    """Another process is writing to the checkpoint."""


class CheckpointDiskError(CheckpointError, OSError):
    """The disk refused to read or write the checkpoint."""


class MetadataError(SemartVectorsError, ValueError):
    """A metadata table, or the folder it should be in, cannot be used."""


class DatabaseError(SemartVectorsError):
    """PostgreSQL cannot be reached, lacks pgvector, or refused. A load is all there, or not at all."""


class BatchError(ExceptionGroup[ItemError], SemartVectorsError):
    """The failures of a batch, raised together by `EmbeddingBatch.raise_for_failures`."""

    def derive(self, excs: Sequence[ItemError], /) -> BatchError:  # type: ignore[override] # holds no others
        """Keep what ``except*`` leaves over an error of this tree."""
        return BatchError(self.message, excs)


_SCARCITY = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def is_scarcity(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that this machine has no more of something."""
    return any(isinstance(each, OSError) and each.errno in _SCARCITY for each in causes(error))


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from causes(each)
        error = error.__cause__ or error.__context__
