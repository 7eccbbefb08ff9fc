"""Reading one image: completely, and never waiting for what is not a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pictures import picture
from semart_vectors.errors import InvalidInputError, OutOfResourcesError, UnreadableImageError
from semart_vectors.images import read_image as load_module
from semart_vectors.images.read_image import MAX_BYTES, fingerprint_of, load_bytes, load_file

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_wrong_suffix_does_no_harm(tmp_path: Path) -> None:
    """A PNG called .jpg is a PNG."""
    (tmp_path / "a.jpg").write_bytes(picture("PNG"))
    load_file(tmp_path / "a.jpg")


def test_a_file_is_read_whole_and_named(tmp_path: Path) -> None:
    """With what tells whether it changes, and the source that the outcome shall carry."""
    path, data = tmp_path / "a.jpg", picture()
    path.write_bytes(data)
    loaded = load_file(path)
    assert (loaded.source, loaded.data) == (path, data)
    assert loaded.fingerprint == fingerprint_of(path.stat())
    assert load_file(str(path), source="a").source == "a"


def test_bytes_are_checked_as_files_are() -> None:
    """They have no file to have changed."""
    data = picture()
    loaded = load_bytes(data, source=data)
    assert (loaded.source, loaded.data, loaded.fingerprint) == (data, data, 0)
    with pytest.raises(InvalidInputError):
        load_bytes(b"", source="nothing")


def make_fifo(path: Path) -> None:
    """A pipe that nobody writes to: opening it would wait for ever."""
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


def make_dangling(path: Path) -> None:
    """A link to nothing."""
    path.symlink_to("nowhere")


def make_nothing(_: Path) -> None:
    """No file at all."""


UNREADABLE = {
    Path.mkdir: "directory", make_fifo: "not a regular file", make_loop: "symbolic links",
    make_dangling: "No such file", make_nothing: "No such file",
}  # fmt: skip  # a row stays in sight


@pytest.mark.parametrize(
    ("make", "reason"), UNREADABLE.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_what_cannot_be_read_is_told(tmp_path: Path, make: Callable[[Path], None], reason: str) -> None:
    """At once, in a sentence, and as the `OSError` it is."""
    make(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match=f"it cannot be read: .*{reason}") as caught:
        load_file(tmp_path / "a.jpg")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("make", "reason"), UNREADABLE.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_what_cannot_be_read_leaves_no_file_open(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    """A long run meets many of them."""
    make(tmp_path / "a.jpg")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(UnreadableImageError, match=reason):
            load_file(tmp_path / "a.jpg")
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    """The reason is the system's."""
    (tmp_path / "a.jpg").write_bytes(picture())
    (tmp_path / "a.jpg").chmod(0)
    with pytest.raises(UnreadableImageError, match="Permission denied"):
        load_file(tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 256 + ".jpg", "x/" * 3000 + ".jpg"])
def test_a_name_that_cannot_be_is_unreadable(tmp_path: Path, name: str) -> None:
    """A NUL in it, or too many characters."""
    with pytest.raises(UnreadableImageError, match="it cannot be read"):
        load_file(f"{tmp_path}/{name}")


@pytest.mark.parametrize(("content", "reason"), [(b"", "it is empty"), (b"text", "not an image")])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """It could be read; what is in it was refused."""
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InvalidInputError, match=reason):
        load_file(tmp_path / "a.jpg")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    """A terabyte of nothing is refused as fast."""
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidInputError, match="at most 20,971,520"):
        load_file(tmp_path / "a.jpg")


def test_rewriting_a_file_changes_its_fingerprint_even_with_its_old_time(tmp_path: Path) -> None:
    """A copy that restores the time cannot hide a change; looking at it changes nothing."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    status = path.stat()
    assert fingerprint_of(path.stat()) == fingerprint_of(status)
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # the clock of the file system has its ticks
        path.write_bytes(b"new")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert fingerprint_of(path.stat()) != fingerprint_of(status)
    assert -(2**63) <= fingerprint_of(status) < 2**63


def test_a_fingerprint_uses_all_of_its_64_bits(tmp_path: Path) -> None:
    """It is signed, as Parquet stores it, and differs for each time of modification."""
    path = tmp_path / "a.jpg"
    path.touch()
    fingerprints = set()
    for second in range(40):
        os.utime(path, (second, second))
        fingerprints.add(fingerprint_of(path.stat()))
    assert len(fingerprints) == 40
    assert -(2**63) <= min(fingerprints) < 0 < max(fingerprints) < 2**63


@pytest.mark.parametrize("missing", [1, 5])
def test_a_file_is_read_as_soon_as_a_descriptor_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """Connections give theirs back as calls end; if none does, the image is not to blame."""
    (tmp_path / "a.jpg").write_bytes(picture())
    monkeypatch.setattr(load_module, "_RETRY_EVERY_S", 0.001)
    real_open, refused = os.open, 0

    def scarce(path: str, flags: int) -> int:
        nonlocal refused
        if refused < missing:
            refused += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", scarce)
    assert load_file(tmp_path / "a.jpg").data == picture()
    refused = 0
    monkeypatch.setattr(load_module, "_DESCRIPTOR_WAIT_S", 0)
    with pytest.raises(OutOfResourcesError, match=r"Too many open files.*ulimit -n"):
        load_file(tmp_path / "a.jpg")
    assert refused == 1


def test_a_file_that_grows_while_it_is_read_is_read_completely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is still under way; what is larger than allowed by then is refused all the same."""
    path, data = tmp_path / "a.jpg", picture()
    path.write_bytes(data[:-500])
    real_fstat = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        status = real_fstat(descriptor)
        path.write_bytes(data)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    assert load_file(path).data == data
    path.write_bytes(b"")
    data += bytes(MAX_BYTES)
    with pytest.raises(InvalidInputError, match="at most 20,971,520"):
        load_file(path)
