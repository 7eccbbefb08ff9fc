"""The journal: whatever happens to its bytes, it gives back what was written, or less, but nothing else."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from semart_vectors._journal import _MARK, Journal, JournalContent, Record, read_journal

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
    return tmp_path / "_journal"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """Open an empty journal."""
    with Journal(path, end=0) as opened:
        yield opened


def ends(path: Path) -> list[int]:
    """Write the records one by one to a journal; return where each of them ends."""
    sizes = [0]
    with Journal(path, end=0) as journal:
        for record in RECORDS:
            journal.append([record])
            sizes.append(path.stat().st_size)
    return sizes


def test_what_was_appended_is_read(path: Path, journal: Journal) -> None:
    """One by one or many at a time, in order."""
    journal.append(RECORDS[:1])
    journal.append(RECORDS[1:])
    journal.append([])
    assert read_journal(path) == JournalContent(RECORDS, path.stat().st_size, 0)


def test_a_missing_journal_is_an_empty_one(path: Path) -> None:
    """Before the first record there is none."""
    assert read_journal(path) == JournalContent([], 0, 0)


def test_a_journal_goes_on_where_it_ended(path: Path) -> None:
    """A second process adds to what the first one left."""
    ends(path)
    with Journal(path, end=read_journal(path).end) as journal:
        journal.append(RECORDS)
    assert read_journal(path).records == [*RECORDS, *RECORDS]


def test_clear_forgets_all_and_leaves_it_usable(path: Path, journal: Journal) -> None:
    """What comes after it stands at the beginning."""
    journal.append(RECORDS)
    journal.clear()
    assert path.stat().st_size == 0
    journal.append(RECORDS[:1])
    assert read_journal(path).records == RECORDS[:1]


def test_a_cut_at_any_length_loses_only_what_was_cut(path: Path) -> None:
    """Whole records stay, the torn one is no damage but the mark of a killed process."""
    sizes = ends(path)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = sum(size <= length for size in sizes) - 1
        assert read_journal(path) == JournalContent(RECORDS[:kept], sizes[kept], 0)


def test_a_torn_tail_is_written_over(path: Path) -> None:
    """What comes next is found, at whatever length the process before was killed."""
    sizes = ends(path)
    whole = path.read_bytes()
    for length in range(sizes[1], len(whole)):
        path.write_bytes(whole[:length])
        kept = read_journal(path)
        with Journal(path, end=kept.end) as journal:
            journal.append(RECORDS[-1:])
        assert read_journal(path).records == [*kept.records, RECORDS[-1]]


def test_a_flipped_bit_loses_the_record_it_hits_and_no_other(path: Path) -> None:
    """Each bit of a small journal once: never a wrong record, never a second one lost."""
    sizes = ends(path)
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        hit = sum(size <= bit // 8 for size in sizes) - 1
        content = read_journal(path)
        assert content.records == RECORDS[:hit] + RECORDS[hit + 1 :]
        if hit < len(RECORDS) - 1:
            assert content.damaged_bytes == sizes[hit + 1] - sizes[hit]


@given(junk=st.binary(max_size=200), place=st.integers(0, len(RECORDS)))
@settings(max_examples=200, deadline=None)
def test_junk_between_records_hides_none(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    """Blocks of zeros, half records, anything: those after it are found by their mark."""
    path = tmp_path_factory.getbasetemp() / "_journal"
    sizes = ends(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: sizes[place]] + junk + _MARK + whole[sizes[place] :])
    assert read_journal(path).records == RECORDS


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failing_write_leaves_the_journal_as_it_was(
    path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Also when half of it was on the disk; what is appended next is found."""
    journal.append(RECORDS[:2])
    before, write = path.read_bytes(), os.write

    def fail(descriptor: int, *data: bytes) -> int:
        if data and len(data[0]) > 40:
            return write(descriptor, data[0][:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(OSError, match="No space left"):
            journal.append(RECORDS)
    assert path.read_bytes() == before
    journal.append(RECORDS[2:])
    assert read_journal(path).records == RECORDS


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
    with pytest.raises(ValueError, match="longer than any"):
        journal.append([big])
    assert read_journal(path) == JournalContent([], 0, 0)
