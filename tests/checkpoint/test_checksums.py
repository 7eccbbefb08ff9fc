"""The checksum footer of a Parquet file: no change of any byte goes unnoticed, and no reader minds it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from semart_vectors.checkpoint.checksums import (
    TooFewBytesError,
    intact_groups,
    read_checksum_footer,
    with_checksum_footer,
)

if TYPE_CHECKING:
    from pathlib import Path

ROWS = list(range(50))


@pytest.fixture(scope="module")
def starts() -> list[int]:
    """Where the row groups of the file below start."""
    metadata = pq.read_metadata(pa.BufferReader(parquet(ROWS)))
    return [metadata.row_group(group).column(0).data_page_offset for group in range(metadata.num_row_groups)]


@pytest.fixture(scope="module")
def content(starts: list[int]) -> bytes:
    """A file of five row groups, with its checksum footer."""
    return b"".join(with_checksum_footer(memoryview(parquet(ROWS)), starts))


def parquet(rows: list[int]) -> Any:
    """Return a Parquet file of some numbers."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"number": rows}), sink, row_group_size=10, use_dictionary=False)
    return sink.getvalue()


def is_whole(content: bytes, starts: list[int]) -> bool:
    """Tell whether a file is taken for what was written."""
    try:
        footer = read_checksum_footer(memoryview(content))
        return all(intact_groups(memoryview(content), footer, starts))
    except ValueError:
        return False


def test_a_reader_sees_no_difference(tmp_path: Path, content: bytes, starts: list[int]) -> None:
    """Rows and metadata are as they were without it."""
    (tmp_path / "checked.parquet").write_bytes(content)
    assert pq.read_table(tmp_path / "checked.parquet")["number"].to_pylist() == ROWS
    assert pq.read_metadata(tmp_path / "checked.parquet").num_row_groups == 5
    assert is_whole(content, starts)


def test_every_flipped_bit_is_noticed(content: bytes, starts: list[int]) -> None:
    """In the rows, both footers and the length."""
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not is_whole(bytes(flipped), starts), f"bit {bit}"


def test_a_flip_spoils_the_row_group_that_it_hits_alone(content: bytes, starts: list[int]) -> None:
    """All others are known to be whole."""
    footer = read_checksum_footer(memoryview(content))
    for group, (start, end) in enumerate(itertools.pairwise([*starts, len(content) - footer.bytes_from_end])):
        flipped = bytearray(content)
        flipped[(start + end) // 2] ^= 16
        whole = intact_groups(memoryview(flipped), footer, starts)
        assert [number for number, good in enumerate(whole) if not good] == [group]


def test_every_cut_is_noticed(content: bytes, starts: list[int]) -> None:
    """At whatever length."""
    assert not any(is_whole(content[:length], starts) for length in range(len(content)))


def test_the_last_bytes_are_enough_to_compare_the_footer(content: bytes) -> None:
    """Where they are too few for the checksum footer, it is said so; nothing else is taken for it."""
    footer = read_checksum_footer(memoryview(content))
    for length in range(len(content)):
        if length >= footer.bytes_from_end:
            assert read_checksum_footer(memoryview(content)[-length:]) == footer
        else:
            with pytest.raises(TooFewBytesError):
                read_checksum_footer(memoryview(content)[len(content) - length :])


def test_a_file_without_rows_has_checksums_too() -> None:
    """Of the bytes before its footer."""
    content = b"".join(with_checksum_footer(memoryview(parquet([])), []))
    assert is_whole(content, [])
    assert not is_whole(bytes([content[0] ^ 1]) + content[1:], [])
