"""The exit code of every error, as users' scripts rely on it."""

from __future__ import annotations

import pytest

from semart_vectors import errors
from semart_vectors.cli.exit_codes import exit_code

PROMISED = {
    1: "ServiceUnavailableError",
    2: "ConfigurationError MetadataError VectorFileError EndpointError"
    " UnreadableImageError InvalidInputError",
    4: "AuthenticationError",
    5: "QuotaExceededError",
    6: "CheckpointDamagedError CheckpointMismatchError ModelMismatchError CheckpointError",
    7: "CheckpointInUseError",
    8: "DiskError OutOfResourcesError",
    9: "DatabaseError",
}


@pytest.mark.parametrize(
    ("name", "code"), [(name, code) for code, names in PROMISED.items() for name in names.split()]
)
def test_every_error_ends_with_its_code(name: str, code: int) -> None:
    """0, 3, 130 and 143 are no errors."""
    assert exit_code(getattr(errors, name)("x")) == code


def test_an_error_without_a_code_of_its_own_ends_with_1() -> None:
    """It is still no success."""
    assert exit_code(errors.SemartVectorsError("x")) == 1
