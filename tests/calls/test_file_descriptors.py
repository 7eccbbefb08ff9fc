"""What this machine may lack, and how that is told from other errors."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import ExitStack

import pytest

from semart_vectors.calls.file_descriptors import free_descriptors
from semart_vectors.errors import is_out_of_resources


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_a_lack_is_found_wherever_it_stands(number: int) -> None:
    """As itself, as a cause, as what came before, and among several."""
    lack = OSError(number, os.strerror(number))
    caused, followed = RuntimeError("caused"), RuntimeError("followed")
    caused.__cause__, followed.__context__ = ExceptionGroup("several", [ValueError(), lack]), caused
    assert all(is_out_of_resources(error) for error in (lack, caused, followed))


def test_other_errors_are_no_lack() -> None:
    """Not even of the same kind."""
    assert not is_out_of_resources(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    assert not is_out_of_resources(ValueError("too many open files"))


def test_free_descriptors_are_counted() -> None:
    """Each that is opened is one less, to none."""
    free = free_descriptors()
    if free is None:
        pytest.skip("this machine sets no limit, or does not tell what is open")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as opened:
        first = opened.enter_context(open(os.devnull, "rb"))  # noqa: PTH123 - a descriptor is what is wanted
        assert free_descriptors() == free - 1
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first.fileno() + 1, before[1]))
        assert free_descriptors() == 0
