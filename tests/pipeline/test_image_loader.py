"""`ImageLoader`: several small images with one visit to a thread, and the reason for each failure."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from helpers import jpeg, make_images
from jobs import run
from semart_vectors.checkpoint.store import Failed
from semart_vectors.images.read_image import fingerprint_of
from semart_vectors.images.repair import ImageRepair
from semart_vectors.pipeline.image_loader import MAX_CHUNK, ImageLoader, JobImage
from semart_vectors.pipeline.job_images import NO_FILE, JobImages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from semart_vectors import AsyncVisionEmbedder


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[ImageLoader]:
    """Load from a folder without images yet."""
    with_threads = ImageLoader(JobImages(tmp_path, None), None)
    yield with_threads
    with_threads.close()


@pytest.mark.parametrize(
    ("sizes", "following"),
    [
        ([2_000], MAX_CHUNK),
        ([1 << 17], 8),
        ([300_000], 3),
        ([300_000, 100_000], 5),
        ([600_000] * 2, 1),
        ([2 << 20], 1),
    ],
)
async def test_a_chunk_has_as_many_images_as_take_a_megabyte(
    loader: ImageLoader, tmp_path: Path, sizes: list[int], following: int
) -> None:
    """As large as those of the last chunk were on average; one at least, and no more than eight."""
    names = [f"{number}.jpg" for number in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        content = jpeg(1, side_px=16)
        padding = size - len(content)
        (tmp_path / name).write_bytes(content[:-2] + bytes(padding) + content[-2:])
    assert loader.chunk_size == 1
    assert len(await loader.load(names)) == len(names)
    assert loader.chunk_size == following


async def test_images_that_cannot_be_read_make_no_chunk_smaller(loader: ImageLoader) -> None:
    """They take no memory."""
    await loader.load(["missing.jpg", "gone.jpg"])
    assert loader.chunk_size == MAX_CHUNK


async def test_a_run_reads_small_images_several_at_a_time(
    embedder: AsyncVisionEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one until their size is known, then eight; never none, and each once, in order."""
    images = make_images(tmp_path / "images", 150)
    chunks: list[list[str]] = []

    async def load(loader: ImageLoader, names: list[str], token: object) -> object:
        chunks.append(names)
        return await original(loader, names, token)

    original = ImageLoader.load
    monkeypatch.setattr(ImageLoader, "load", load)
    await run(embedder, tmp_path)
    sizes = [len(names) for names in chunks]
    assert (sizes[0], max(sizes), min(sizes)) == (1, MAX_CHUNK, 1)
    assert sizes.count(MAX_CHUNK) > 150 / MAX_CHUNK / 2
    assert [name for names in chunks for name in names] == sorted(images)


async def test_an_image_is_known_by_its_content_and_its_file(loader: ImageLoader, tmp_path: Path) -> None:
    """What is sent are the file's own bytes."""
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    status = await asyncio.to_thread((tmp_path / "a.jpg").stat)
    [read] = await loader.load(["a.jpg"])
    assert read == (JobImage("a.jpg", hashlib.sha256(jpeg(1)).digest(), fingerprint_of(status)), jpeg(1))


async def test_an_image_is_repaired_when_asked_for(tmp_path: Path) -> None:
    """It is known by its file all the same."""
    await asyncio.to_thread(Image.new("RGB", (64, 32)).save, tmp_path / "a.png")
    loader = ImageLoader(JobImages(tmp_path, None), ImageRepair(max_side_px=32))
    [read] = await loader.load(["a.png"])
    loader.close()
    content = await asyncio.to_thread((tmp_path / "a.png").read_bytes)
    assert not isinstance(read, Failed)
    image, data = read
    assert (image.repairs, image.content_sha256) == ("scaled to 32 x 16", hashlib.sha256(content).digest())
    assert data != content


async def test_the_reason_of_a_failure_is_recorded_with_the_file_as_it_was(
    loader: ImageLoader, tmp_path: Path
) -> None:
    """So that it is tried again when the file changes, or is there at last."""
    (tmp_path / "empty.jpg").touch()
    status = await asyncio.to_thread((tmp_path / "empty.jpg").stat)
    missing, empty, outside = await loader.load(["missing.jpg", "empty.jpg", "../a.jpg"])
    assert isinstance(missing, Failed)
    assert isinstance(empty, Failed)
    assert isinstance(outside, Failed)
    assert (missing.error, missing.file_fingerprint, missing.attempts) == ("UnreadableImageError", NO_FILE, 0)
    assert (empty.error, empty.file_fingerprint) == ("InvalidInputError", fingerprint_of(status))
    assert "leads out" in outside.message


async def test_no_file_is_looked_at_twice_when_it_can_be_read(
    loader: ImageLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at each of a million files takes its time on a network."""
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    monkeypatch.setattr(JobImages, "fingerprint", None)
    [read] = await loader.load(["a.jpg"])
    assert not isinstance(read, Failed)


async def test_a_file_that_is_repaired_while_it_is_read_counts_as_it_is_then(
    loader: ImageLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint of a failure is never that of a file which nobody has read."""
    (tmp_path / "a.jpg").touch()

    def look_and_replace(source: JobImages, name: str) -> int:
        found = original(source, name)
        (tmp_path / name).write_bytes(jpeg(1))
        return found

    original = JobImages.fingerprint
    monkeypatch.setattr(JobImages, "fingerprint", look_and_replace)
    [read] = await loader.load(["a.jpg"])
    assert not isinstance(read, Failed)
    assert read[1] == jpeg(1)
