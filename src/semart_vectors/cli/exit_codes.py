"""The exit code of each error."""

from __future__ import annotations

from semart_vectors import errors
from semart_vectors.cli.event_loop import Terminated

USAGE, SOME_FAILED, DAMAGED, DISK, DATABASE, INTERRUPTED, TERMINATED = 2, 3, 6, 8, 9, 130, 143


EXIT_CODES: dict[type[errors.SemartVectorsError], int] = {
    errors.ConfigurationError: USAGE,
    errors.MetadataError: USAGE,
    errors.VectorFileError: USAGE,
    errors.UnreadableImageError: USAGE,  # of a query, as the next; in a job one image's failure ends nothing
    errors.InvalidInputError: USAGE,
    errors.EndpointError: USAGE,
    errors.ServiceUnavailableError: 1,
    errors.OutOfResourcesError: DISK,
    errors.AuthenticationError: 4,
    errors.QuotaExceededError: 5,
    errors.ModelMismatchError: DAMAGED,
    errors.CheckpointInUseError: 7,
    errors.DiskError: DISK,
    errors.DatabaseError: DATABASE,
    errors.CheckpointError: DAMAGED,  # after its subclasses, which come first
}


def exit_code(error: errors.SemartVectorsError) -> int:
    """Return the exit code for an error; 1 for one without an entry."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def interruption_code(interruption: BaseException) -> int:
    """Return the exit code after Ctrl-C, or after SIGTERM."""
    return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED
