"""The journal: whatever happens to its bytes, it gives back what was written, or less, but nothing else."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from semart_vectors.checkpoint.folder import CheckpointFolder
from semart_vectors.checkpoint.journal import (
    _MARK,
    _TRAILING_ZEROS,
    Journal,
    JournalContent,
    Record,
    read_journal,
    read_journals,
)
from semart_vectors.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS = [
    Record({"image_file": "a.jpg", "n": 1}, b"\x01\x02\x03\x04"),
    Record({}, b""),
    Record({"image_file": "Öl/\n\N{SHIP}.jpg"}, _MARK + b"\0" * 40),  # a blob that looks like a beginning
    Record({"list": [1, 2.5, None, True]}, b"\xff" * 9),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a journal may be."""
    return tmp_path / "_journal-000001"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """Open an empty journal."""
    with Journal(path) as opened:
        yield opened


def ends(path: Path) -> list[int]:
    """Write the records one by one to a journal, and leave few zeros behind them; return where each ends."""
    sizes = [0]
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for record in RECORDS:
            journal.append([record])
            journal.trim()
            sizes.append(path.stat().st_size - _TRAILING_ZEROS)
    return sizes


def whole(records: list[Record]) -> JournalContent:
    """Return what a journal of these records is read as."""
    return JournalContent(records, 0, is_cut=False)


def test_what_was_appended_is_read(path: Path, journal: Journal) -> None:
    """One by one or many at a time, in order."""
    journal.append(RECORDS[:1])
    journal.append(RECORDS[1:])
    journal.append([])
    assert read_journal(path) == whole(RECORDS)


def test_a_missing_journal_is_an_empty_one(path: Path) -> None:
    """Before the first record there is none."""
    assert read_journal(path) == whole([])


def test_journals_are_read_in_the_order_they_were_begun(tmp_path: Path) -> None:
    """By their numbers, however long these are."""
    folder = CheckpointFolder(tmp_path)
    for number in (10, 9, 1_000_000):
        with Journal(folder.journal(number)) as journal:
            journal.append([Record({"number": number})])
    assert [record.fields["number"] for record in read_journals(folder)] == [9, 10, 1_000_000]


def test_a_cut_at_any_length_loses_only_what_was_cut_and_is_noticed(path: Path) -> None:
    """Whole records stay; a cut between two of them shows in the zeros that are missing."""
    sizes = ends(path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        kept = sum(size <= length for size in sizes) - 1
        found = read_journal(path)
        assert (found.records, found.is_whole) == (RECORDS[:kept], False)
        assert found.is_cut


def test_a_flipped_bit_loses_the_record_it_hits_and_no_other(path: Path) -> None:
    """Each bit of a small journal once: never a wrong record, never a second one lost."""
    sizes = ends(path)
    content = path.read_bytes()
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        hit = sum(size <= bit // 8 for size in sizes) - 1
        found = read_journal(path)
        assert (found.records, found.is_whole) == (RECORDS[:hit] + RECORDS[hit + 1 :], False)


@given(junk=st.binary(max_size=200), place=st.integers(0, len(RECORDS)))
@settings(max_examples=200)
def test_junk_between_records_hides_none(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    """Blocks of zeros, half records, anything: those after it are found by their mark."""
    path = tmp_path_factory.getbasetemp() / "_journal-000001"
    sizes = ends(path)
    content = path.read_bytes()
    path.write_bytes(content[: sizes[place]] + junk + _MARK + content[sizes[place] :])
    assert read_journal(path).records == RECORDS


def test_there_is_room_for_what_is_under_way_when_the_disk_is_full(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shortage shows before anything is refused, and goes when there is room again."""
    record = Record({}, bytes(4096))
    with Journal(path, room_bytes=20 * 5000) as journal:
        with monkeypatch.context() as patched:
            patched.setattr(os, "posix_fallocate", _no_space)
            for _ in range(20):
                journal.append([record])
            assert "No space left" in str(journal.shortage)
            with pytest.raises(OSError, match="No space left"):
                journal.append([record] * 20)
        journal.append([record])
        assert journal.shortage is None
    assert read_journal(path) == whole([record] * 21)


def test_a_file_system_that_keeps_no_room_is_written_full_of_zeros(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the system call would leave it."""
    monkeypatch.setattr(os, "posix_fallocate", _not_offered)
    with Journal(path) as journal:
        journal.append(RECORDS)
        assert path.stat().st_size > 1 << 16
    assert read_journal(path) == whole(RECORDS)


def test_a_journal_that_cannot_be_made_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty file would look like one that was cut."""
    monkeypatch.setattr(os, "posix_fallocate", _no_space)
    with pytest.raises(DiskError, match="No space left"):
        Journal(path)
    assert not list(path.parent.iterdir())


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _not_offered(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


@pytest.mark.parametrize("bad", [{"name": "\udcff"}, {"number": 2**70}, {"object": object()}])
def test_what_json_cannot_say_is_refused_before_a_byte_is_written(
    path: Path, journal: Journal, bad: dict[str, object]
) -> None:
    """None of the records given with it counts."""
    journal.append(RECORDS[:1])
    with pytest.raises(TypeError):
        journal.append([RECORDS[1], Record(bad)])
    assert read_journal(path).records == RECORDS[:1]


@pytest.mark.parametrize(
    "big",
    [Record({"message": "x" * (1 << 20)}), Record({}, bytes((1 << 20) + 1))],
    ids=["fields", "blob"],
)
def test_a_record_that_could_not_be_read_back_is_refused(path: Path, journal: Journal, big: Record) -> None:
    """A record is durable when `append` returns, so what reading would skip is not taken."""
    with pytest.raises(ValueError, match="longer than what can be read back"):
        journal.append([big])
    assert read_journal(path) == whole([])
