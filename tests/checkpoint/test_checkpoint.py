"""`Checkpoint`: what was recorded stays, is found again, and is never taken for something else."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from checkpoint_records import done, failed
from fake_service import MODEL, vector_for
from helpers import contents
from semart_vectors import files as files_module
from semart_vectors.checkpoint import (
    catalogue as catalogue_module,
    image_records as entries_module,
    key_index as index_module,
    parts as parts_module,
    publishing as publishing_module,
    schema as schema_module,
)
from semart_vectors.checkpoint.checksums import with_checksum_footer
from semart_vectors.checkpoint.failures import read_failures
from semart_vectors.checkpoint.json_files import write_note
from semart_vectors.checkpoint.parquet import verify_bytes
from semart_vectors.checkpoint.parts import write_part
from semart_vectors.checkpoint.publishing import publish
from semart_vectors.checkpoint.status import read_status
from semart_vectors.checkpoint.store import Checkpoint, Done
from semart_vectors.errors import (
    CheckpointDamagedError,
    CheckpointInUseError,
    CheckpointMismatchError,
    DiskError,
)


def open_checkpoint(directory: Path) -> Checkpoint:
    """Open a checkpoint of the fake service's model."""
    return Checkpoint.open(directory, model_version=MODEL)


def peek(directory: Path) -> Checkpoint:
    """Look into a checkpoint without holding it."""
    return Checkpoint.peek(directory, model_version=MODEL)


def kill(checkpoint: Checkpoint) -> None:
    """Leave a checkpoint as a killed process does: the lock goes with it, and nothing is published."""
    checkpoint._closing.close()


def read(directory: Path) -> dict[str, np.ndarray]:
    """Read what any Parquet reader reads: the vectors by name, each name once."""
    table = pd.read_parquet(directory / "vectors")
    assert table["image_file"].is_unique
    return dict(zip(table["image_file"], table["vector"], strict=True))


def assert_found(checkpoint: Checkpoint, content_sha256: bytes, content: bytes, repairs: str = "") -> None:
    """Make sure that a content's own vector is found, with what was repaired before it was embedded."""
    found = checkpoint.vector_with_content(content_sha256)
    assert found is not None
    np.testing.assert_array_equal(found[0], vector_for(content))
    assert found[1] == repairs


def test_what_is_recorded_is_there_after_closing(tmp_path: Path) -> None:
    """Pandas reads the vectors bit for bit, with the columns that others rely on."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg"), done("b/c.jpg")])
    vectors = read(tmp_path)
    assert list(vectors) == ["a.jpg", "b/c.jpg"]
    np.testing.assert_array_equal(vectors["b/c.jpg"], vector_for(b"b/c.jpg"))
    table = pd.read_parquet(tmp_path / "vectors")
    assert table["model_version"].unique().tolist() == [MODEL]
    assert table["content_sha256"][0] == hashlib.sha256(b"a.jpg").hexdigest()


def test_a_new_checkpoint_reads_as_empty_tables(tmp_path: Path) -> None:
    """A reader finds the right columns before the first image is done."""
    with open_checkpoint(tmp_path):
        assert list(pd.read_parquet(tmp_path / "vectors").columns)[:2] == ["image_file", "vector"]
        assert list(pd.read_parquet(tmp_path / "failures.parquet").columns)[:4] == [
            "image_file",
            "error",
            "message",
            "attempts",
        ]


def test_a_part_without_rows_has_no_row_group(tmp_path: Path) -> None:
    """Hugging Face `datasets` refuses one of no rows; an earlier checkpoint that holds one is mended."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
    for path in (tmp_path / "vectors" / "part-000000.parquet", tmp_path / "failures.parquet"):
        assert pq.read_metadata(path).num_row_groups == 0
        pq.write_table(pq.read_table(path), old := tmp_path / "old")
        metadata = pq.read_metadata(old)
        assert metadata.num_row_groups == 1
        starts = [metadata.row_group(0).column(0).data_page_offset]
        path.write_bytes(b"".join(with_checksum_footer(memoryview(old.read_bytes()), starts)))
        old.unlink()
    open_checkpoint(tmp_path).close()
    for path in (tmp_path / "vectors" / "part-000000.parquet", tmp_path / "failures.parquet"):
        assert pq.read_metadata(path).num_row_groups == 0
        verify_bytes(path)
    assert set(read(tmp_path)) == {"a.jpg"}


def test_what_was_recorded_survives_a_kill_before_it_is_published(tmp_path: Path) -> None:
    """The journal alone brings it back, and the next opening publishes it."""
    killed = open_checkpoint(tmp_path)
    killed.record([done("a.jpg"), failed("b.jpg")])
    kill(killed)
    assert read(tmp_path) == {}
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.done("a.jpg") is not None
        assert checkpoint.failure("b.jpg") == failed("b.jpg")
        assert list(read(tmp_path)) == ["a.jpg"]


def test_a_kill_between_part_and_journal_leaves_each_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal whose records a part already holds adds nothing."""
    killed = open_checkpoint(tmp_path)
    killed.record([done("a.jpg"), done("b.jpg")])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda _: None)
        killed.close()
    assert list(tmp_path.glob("_journal-*"))
    with open_checkpoint(tmp_path) as checkpoint:
        assert set(read(tmp_path)) == {"a.jpg", "b.jpg"}
        checkpoint.record([done("c.jpg")])
    assert set(read(tmp_path)) == {"a.jpg", "b.jpg", "c.jpg"}
    assert not list(tmp_path.glob("_journal*"))


def test_a_full_journal_becomes_a_part_during_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers see what is done while the job still runs."""
    monkeypatch.setattr(parts_module, "ROWS_A_PART", 10)
    with open_checkpoint(tmp_path) as checkpoint:
        for first in range(0, 25, 5):
            checkpoint.record([done(f"{number}.jpg") for number in range(first, first + 5)])
            checkpoint._settle(wait=True)
        assert len(read(tmp_path)) == 20
    assert len(read(tmp_path)) == 25


def test_records_do_not_wait_for_a_part_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile an image may change, fail, or be found by its content, in whichever journal it is."""
    go_on = Event()

    def hold(*arguments: Any) -> None:
        assert go_on.wait(10)
        publish(*arguments)

    monkeypatch.setattr(parts_module, "ROWS_A_PART", 4)
    with open_checkpoint(tmp_path) as checkpoint:
        monkeypatch.setattr(publishing_module, "publish", hold)
        checkpoint.record([done("a.jpg", b"1"), done("b.jpg"), done("c.jpg"), done("d.jpg", b"same")])
        checkpoint.record([done("a.jpg", b"2"), failed("b.jpg")])
        known = checkpoint.done("a.jpg")
        assert known is not None
        assert known.holds(hashlib.sha256(b"2").digest())
        assert checkpoint.done("b.jpg") is None
        assert checkpoint.done("c.jpg") is not None
        content = hashlib.sha256(b"same").digest()
        assert checkpoint.know_contents([content]) == [True]
        assert_found(checkpoint, content, b"same")
        go_on.set()
    vectors = read(tmp_path)
    assert set(vectors) == {"a.jpg", "c.jpg", "d.jpg"}
    np.testing.assert_array_equal(vectors["a.jpg"], vector_for(b"2"))
    assert read_status(tmp_path).failed == 1


def test_a_part_that_cannot_be_written_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have held stays in its journal; what comes in meanwhile is recorded too."""
    monkeypatch.setattr(parts_module, "ROWS_A_PART", 2)
    checkpoint = open_checkpoint(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", _no_space)
        checkpoint.record([done("a.jpg"), done("b.jpg")])
        checkpoint._settle(wait=True)
        assert "No space left" in str(checkpoint.trouble)
        checkpoint.record([done("c.jpg"), done("a.jpg", b"new")])
        assert checkpoint.done("b.jpg") is not None
        with pytest.raises(DiskError):
            checkpoint.close()
    with open_checkpoint(tmp_path):
        vectors = read(tmp_path)
    assert set(vectors) == {"a.jpg", "b.jpg", "c.jpg"}
    np.testing.assert_array_equal(vectors["a.jpg"], vector_for(b"new"))


def test_a_later_record_replaces_an_earlier_one(tmp_path: Path) -> None:
    """A changed image stands there once, with the vector of what it holds now."""
    for content in (b"old", b"new"):
        with open_checkpoint(tmp_path) as checkpoint:
            checkpoint.record([done("a.jpg", content), done(f"{content!r}.jpg")])
    vectors = read(tmp_path)
    assert len(vectors) == 3
    np.testing.assert_array_equal(vectors["a.jpg"], vector_for(b"new"))


def test_an_image_is_done_or_failed_never_both(tmp_path: Path) -> None:
    """Success takes a failure back, and a failure the vector of what the file held before."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([failed("a.jpg"), done("b.jpg")])
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg"), failed("b.jpg")])
    assert list(read(tmp_path)) == ["a.jpg"]
    assert [failure.image_file for failure in read_failures(tmp_path)] == ["b.jpg"]


def test_what_was_repaired_is_found_with_the_vector(tmp_path: Path) -> None:
    """In the journal and in a part: another image of this content gets the same words."""
    entry = Done("a.jpg", vector_for(b"a"), hashlib.sha256(b"a").digest(), 1, "orientation 6")
    for entries in ([entry], []):
        with open_checkpoint(tmp_path) as checkpoint:
            checkpoint.record(entries)
            assert_found(checkpoint, entry.content_sha256, b"a", "orientation 6")


def test_a_vector_is_found_by_content_wherever_it_rests(tmp_path: Path) -> None:
    """In the journal or in a part, under any of its names, and not after its image changed."""
    content = hashlib.sha256(b"same").digest()
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg", b"same"), done("b.jpg", b"same")])
        assert_found(checkpoint, content, b"same")
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg", b"changed")])
        assert_found(checkpoint, content, b"same")
        assert checkpoint.vector_with_content(hashlib.sha256(b"other").digest()) is None


def test_another_model_is_refused(tmp_path: Path) -> None:
    """Vectors of two models do not compare, so they never share a checkpoint."""
    with open_checkpoint(tmp_path):
        pass
    with pytest.raises(CheckpointMismatchError, match="2022-04-11"):
        Checkpoint.open(tmp_path, model_version="2022-04-11")


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    """A folder of images given by mistake stays as it is."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(CheckpointMismatchError, match="no checkpoint"):
        open_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    """One process at a time; the lock ends with its holder."""
    with open_checkpoint(tmp_path) as first:
        with pytest.raises(CheckpointInUseError):
            open_checkpoint(tmp_path)
        first.record([done("a.jpg")])
        assert read_status(tmp_path).in_use
    with open_checkpoint(tmp_path) as second:
        assert second.done("a.jpg") is not None


@pytest.mark.parametrize("cut_bytes", [0, 30], ids=["changed", "cut"])
def test_a_damaged_part_goes_into_quarantine_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut_bytes: int
) -> None:
    """What it held is to be done again; the others stay, and the file as it was is kept."""
    for names in (["a.jpg"], ["b.jpg"]):
        with open_checkpoint(tmp_path) as checkpoint:
            checkpoint.record([done(name) for name in names])
    part = tmp_path / "vectors" / "part-000002.parquet"
    content = part.read_bytes()
    damaged = content[:600] + bytes([content[600] ^ 1]) + content[601 : len(content) - cut_bytes]
    part.write_bytes(damaged)
    with pytest.raises(CheckpointDamagedError, match=r"part-000002.*check --repair"):
        verify_parts(tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        assert (checkpoint.done("a.jpg") is None, checkpoint.done("b.jpg") is None) == (False, True)
    assert "part-000002.parquet is damaged" in caplog.text
    assert (tmp_path / "_damaged" / part.name).read_bytes() == damaged
    assert list(read(tmp_path)) == ["a.jpg"]


def verify_parts(directory: Path) -> None:
    """Look at every byte, as a check does."""
    for path in (directory / "vectors").iterdir():
        verify_bytes(path)


def test_damage_costs_only_the_rows_that_it_hits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one row group."""
    monkeypatch.setitem(schema_module.VECTOR_FILE_OPTIONS, "row_group_size", 4)
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done(f"{number}.jpg") for number in range(10)])
    part = tmp_path / "vectors" / "part-000001.parquet"
    start = pq.read_metadata(part).row_group(1).column(1).data_page_offset
    content = bytearray(part.read_bytes())
    content[start + 500] ^= 4
    part.write_bytes(content)
    with open_checkpoint(tmp_path):
        pass
    assert set(read(tmp_path)) == {f"{number}.jpg" for number in (0, 1, 2, 3, 8, 9)}


def test_a_full_disk_costs_nothing_that_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a part cannot be written, the journal keeps what it would have held."""
    checkpoint = open_checkpoint(tmp_path)
    checkpoint.record([done("a.jpg")])
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", _no_space)
        with pytest.raises(DiskError, match="No space left"):
            checkpoint.close()
    with open_checkpoint(tmp_path):
        assert list(read(tmp_path)) == ["a.jpg"]


def _no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_status_counts_what_is_only_in_the_journal_too(tmp_path: Path) -> None:
    """How far a job is shows while it runs."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.note_images_asked_for(5)
        checkpoint.record([done("a.jpg"), done("b.jpg"), failed("c.jpg")])
        status = read_status(tmp_path)
    assert (status.done, status.failed, status.asked_for, status.in_use) == (2, 1, 5, True)
    assert not read_status(tmp_path).in_use


def test_vectors_take_little_room(tmp_path: Path) -> None:
    """float16 values, as the service's are, take less than half of their 4,096 bytes, losslessly."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record(done(f"{number}.jpg") for number in range(200))
    assert (tmp_path / "vectors" / "part-000001.parquet").stat().st_size < 200 * 2300


def test_looking_holds_and_changes_nothing(tmp_path: Path) -> None:
    """What a job has recorded is seen while it holds the checkpoint; where there is none, none is made."""
    with open_checkpoint(tmp_path / "ck") as checkpoint:
        checkpoint.record([done("a.jpg"), failed("b.jpg")])
        seen = peek(tmp_path / "ck")
        assert seen.done("a.jpg") == checkpoint.done("a.jpg")
        assert seen.failure("b.jpg") == failed("b.jpg")
    assert peek(tmp_path / "other").done("a.jpg") is None
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"model_version": 5}', None])
def test_a_lost_description_is_logged_and_written_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    """The parts say which model they are of; a damaged note of the last job does no harm."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
    (tmp_path / "_job.json").write_text(content or "")
    assert read_status(tmp_path).asked_for is None
    identity = tmp_path / "_checkpoint.json"
    if content is None:
        identity.unlink()
    else:
        identity.write_text(content)
        with pytest.raises(CheckpointDamagedError, match=r"_checkpoint\.json"):
            read_status(tmp_path)
    with pytest.raises(CheckpointMismatchError, match="another model"):
        Checkpoint.open(tmp_path, model_version="2022-04-11")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.done("a.jpg") is not None
    assert content is None or "_checkpoint.json is damaged" in caplog.text
    assert read_status(tmp_path).done == 1


def test_a_creation_that_was_killed_is_taken_up(tmp_path: Path) -> None:
    """Its lock and half a file of its own are no files of somebody else."""
    (tmp_path / "_lock").touch()
    (tmp_path / "__checkpoint.json.77.tmp").write_text("{")
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
    assert list(read(tmp_path)) == ["a.jpg"]
    assert not list(tmp_path.glob("*.tmp"))


def test_done_after_a_failure_is_not_both_when_killed_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is there, the table of failures still the old one: the journal knows better."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([failed("a.jpg")])
    killed = open_checkpoint(tmp_path)
    killed.record([done("a.jpg")])
    with monkeypatch.context() as patch:
        patch.setattr(publishing_module, "write_failures", _no_space)
        with pytest.raises(DiskError, match="No space"):
            killed.close()
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.failure("a.jpg") is None
    assert (read_status(tmp_path).done, read_status(tmp_path).failed) == (1, 0)


def test_of_two_rows_of_an_image_the_newer_stays(tmp_path: Path) -> None:
    """Should there ever be both, the next opening drops the old one."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg", b"old"), done("b.jpg")])
    killed = open_checkpoint(tmp_path)
    killed.record([done("a.jpg", b"new")])
    killed._catalogue._recorded.outdated.clear()
    killed.close()
    with open_checkpoint(tmp_path):
        pass
    vectors = read(tmp_path)
    assert set(vectors) == {"a.jpg", "b.jpg"}
    np.testing.assert_array_equal(vectors["a.jpg"], vector_for(b"new"))


def test_a_sync_that_fails_does_not_double_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part is written again under its own number."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
        with monkeypatch.context() as patch:
            patch.setattr(files_module, "sync", _fail_for_folders)
            with pytest.raises(DiskError):
                checkpoint._publish_now()
    assert list(read(tmp_path)) == ["a.jpg"]


def _fail_for_folders(path: Path) -> None:
    if path.is_dir():
        raise OSError(5, "Input/output error")


def test_a_part_that_is_not_ours_is_named(tmp_path: Path) -> None:
    """A copy would double images, and a part of another model mix two spaces."""
    with Checkpoint.open(tmp_path / "other", model_version="2022-04-11") as checkpoint:
        checkpoint.record([done("b.jpg")])
    part = tmp_path / "other" / "vectors" / "part-000001.parquet"
    with open_checkpoint(tmp_path / "ck") as checkpoint:
        checkpoint.record([done("a.jpg")])
    for name, error in {
        "part-000007.parquet": CheckpointMismatchError,
        "copy.parquet": CheckpointDamagedError,
    }.items():
        shutil.copy(part, tmp_path / "ck" / "vectors" / name)
        with pytest.raises(error, match=name):
            open_checkpoint(tmp_path / "ck")
        (tmp_path / "ck" / "vectors" / name).unlink()


def test_failures_alone_are_published_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many images fail, the journal stays short."""
    monkeypatch.setattr(parts_module, "ROWS_A_PART", 10)
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([failed(f"{number}.jpg") for number in range(25)])
        checkpoint._settle(wait=True)
        assert len(read_failures(tmp_path)) == 25


def test_what_the_system_refuses_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody shall move a good part away."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
    monkeypatch.setattr(pq, "ParquetFile", _no_space)
    with pytest.raises(DiskError, match="cannot read"):
        open_checkpoint(tmp_path)


def test_a_replaced_vector_is_known_until_the_run_ends(tmp_path: Path) -> None:
    """Also over a kill: a renumbered collection is not paid for again; readers see no image twice."""
    content = hashlib.sha256(b"moved").digest()
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg", b"moved"), done("b.jpg")])
    killed = open_checkpoint(tmp_path)
    killed.record([done("a.jpg", b"new")])
    killed._publish_now()
    kill(killed)
    assert set(read(tmp_path)) == {"a.jpg", "b.jpg"}
    with open_checkpoint(tmp_path) as checkpoint:  # stopped before its end
        assert_found(checkpoint, content, b"moved")
    with open_checkpoint(tmp_path) as checkpoint:
        assert_found(checkpoint, content, b"moved")
        checkpoint.mark_complete()
    assert not list(tmp_path.glob("_replaced*"))


def test_what_was_done_before_is_kept_apart_from_what_this_run_did(tmp_path: Path) -> None:
    """By name, with the file's fingerprint; what failed since, or was recorded anew, is not of before."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg", fingerprint=7), done("b.jpg"), done("c.jpg")])
    names = ["a.jpg", "x.jpg", "b.jpg", "c.jpg"]
    with open_checkpoint(tmp_path) as checkpoint:
        found, fingerprints = checkpoint.done_before(names)
        assert (found.tolist(), fingerprints[0]) == ([True, False, True, True], 7)
        checkpoint.record([done("x.jpg"), done("b.jpg", b"new"), failed("c.jpg")])
        seen, _ = peek(tmp_path).done_before(names)
        assert seen.tolist() == [True, True, True, False]
        for _ in range(2):
            assert checkpoint.done_before(names)[0].tolist() == [True, False, False, False]
            checkpoint._publish_now()


def test_names_and_contents_that_share_their_keys_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should all share one: no row is lost, none is there twice, none has the vector of another."""
    for module in (index_module, catalogue_module):
        monkeypatch.setattr(module, "name_key", lambda _: 0)
    for module in (parts_module, catalogue_module):
        monkeypatch.setattr(module, "content_keys", lambda digests: np.zeros(len(digests) // 32, np.int64))
    for module in (entries_module, catalogue_module):
        monkeypatch.setattr(module, "content_key", lambda _: 0)
    contents: dict[str, bytes] = {}
    for number in range(5):
        changes = {f"{number}.jpg": b"%d" % number, f"{number // 2}.jpg": b"changed in %d" % number}
        contents |= changes
        with open_checkpoint(tmp_path) as checkpoint:
            checkpoint.record([done(name, content, number) for name, content in changes.items()])
            for content in set(contents.values()):
                found = checkpoint.vector_with_content(hashlib.sha256(content).digest())
                assert found is None or np.array_equal(found[0], vector_for(content))
        vectors = read(tmp_path)
        assert set(vectors) == set(contents)
        for name, content in contents.items():
            np.testing.assert_array_equal(vectors[name], vector_for(content))


def test_replaced_rows_outlive_publications_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt writes under numbers of its own, whichever part it came to."""
    for name in ("a", "b"):
        with open_checkpoint(tmp_path) as checkpoint:
            checkpoint.record([done(name, f"old {name}".encode())])
    written = 0

    def fail_at_every_third(*arguments: Any) -> None:
        nonlocal written
        written += 1
        if written % 3 == 0:
            _no_space()
        write_part(*arguments)

    killed = open_checkpoint(tmp_path)
    killed.record([done("a", b"new a"), done("b", b"new b")])
    with monkeypatch.context() as patch:
        patch.setattr(publishing_module, "write_part", fail_at_every_third)
        for _ in range(2):
            with pytest.raises(DiskError):
                killed._publish_now()
    kill(killed)
    with open_checkpoint(tmp_path) as checkpoint:
        for content in (b"old a", b"old b", b"new a", b"new b"):
            assert_found(checkpoint, hashlib.sha256(content).digest(), content)


def test_whatever_keeps_a_part_from_being_written_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No memory, say: the run is asked to stop, and the journal keeps what came in."""
    monkeypatch.setattr(parts_module, "ROWS_A_PART", 2)
    with monkeypatch.context() as patch:
        patch.setattr(publishing_module, "vector_table", _no_memory)
        checkpoint = open_checkpoint(tmp_path)
        checkpoint.record([done("a.jpg"), done("b.jpg")])
        checkpoint._settle(wait=True)
        assert "MemoryError" in str(checkpoint.trouble)
        checkpoint.record([done("c.jpg")])
    checkpoint.close()
    assert set(read(tmp_path)) == {"a.jpg", "b.jpg", "c.jpg"}


def _no_memory(*_: object) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    "name", ["_journal-000001.bak", "_replaced-000001 (1).parquet", "vectors/._part-000001.parquet"]
)
def test_a_strangers_file_is_left_alone(tmp_path: Path, name: str) -> None:
    """What no reader would take for a part, and no job has made."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
    (tmp_path / name).write_bytes(b"of somebody else")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.done("a.jpg") is not None
    assert read_status(tmp_path).done == 1
    assert (tmp_path / name).read_bytes() == b"of somebody else"


def test_another_format_is_refused(tmp_path: Path) -> None:
    """A later version of this package may write what this one cannot read."""
    with open_checkpoint(tmp_path):
        pass
    write_note(
        tmp_path / "_checkpoint.json", {"format_version": 3, "model_version": MODEL, "dimension": 1024}
    )
    for enter in (open_checkpoint, peek):
        with pytest.raises(CheckpointMismatchError, match="format_version 3 instead of 2"):
            enter(tmp_path)


def test_a_journal_that_could_not_be_removed_does_not_bring_an_old_vector_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is removed with the next ones, before a later run takes it for news."""
    monkeypatch.setattr(parts_module, "ROWS_A_PART", 1)
    checkpoint = open_checkpoint(tmp_path)
    checkpoint.record([done("a.jpg", b"old")])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", _no_space)
        with pytest.raises(DiskError):
            checkpoint._settle(wait=True)
    checkpoint.record([done("a.jpg", b"new")])
    checkpoint._settle(wait=True)
    kill(checkpoint)
    with open_checkpoint(tmp_path):
        np.testing.assert_array_equal(read(tmp_path)["a.jpg"], vector_for(b"new"))


def test_another_format_without_a_checksum_is_refused_and_left_alone(tmp_path: Path) -> None:
    """It is no damage: a later version may sum up its description otherwise."""
    with open_checkpoint(tmp_path) as checkpoint:
        checkpoint.record([done("a.jpg")])
    (tmp_path / "_checkpoint.json").write_text('{"format_version": 3, "model_version": "x"}')
    before = contents(tmp_path)
    for enter in (open_checkpoint, peek):
        with pytest.raises(CheckpointMismatchError, match="format 3 instead of 2"):
            enter(tmp_path)
    assert before == contents(tmp_path)


def test_a_part_for_which_no_thread_can_start_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is asked to stop, and the journal keeps what came in."""
    monkeypatch.setattr(parts_module, "ROWS_A_PART", 2)
    checkpoint = open_checkpoint(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", _no_thread)
        checkpoint.record([done("a.jpg"), done("b.jpg")])
        assert "thread" in str(checkpoint.trouble)
        checkpoint.record([done("c.jpg")])
    checkpoint.close()
    assert set(read(tmp_path)) == {"a.jpg", "b.jpg", "c.jpg"}


def _no_thread(_: Thread) -> None:
    raise RuntimeError("can't start new thread")
