"""Repairs: what needs one gets it and says so, and everything else stays as it is, to the byte."""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fake_service import vector_for
from helpers import jpeg
from pictures import frames, saved
from semart_vectors import EmbeddingJob, ImageRepair
from semart_vectors.errors import ConfigurationError, InvalidInputError
from semart_vectors.images import read_image as load_module, repair as repairs_module
from semart_vectors.images.read_image import check_image

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from fake_service import FakeService
    from semart_vectors import AsyncVisionEmbedder


def halves(mode: str = "RGB", size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Return an image that is black but for a white left half."""
    image = Image.new("L", size)
    image.paste(255, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def turned(format_: str, orientation: int) -> bytes:
    """Return the image as a camera would that was held otherwise."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(halves(), format_, exif=exif)


def deep(format_: str) -> bytes:
    """Return a grey image of 16 bits, from black to white."""
    shades = np.linspace(0, 65_535, 40 * 20).astype(np.uint16).reshape(20, 40)
    return saved(Image.fromarray(shades), format_)


def opened(data: bytes) -> Image.Image:
    """Decode what came out."""
    check_image(data)
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    "data",
    [
        jpeg(1), turned("JPEG", 1), saved(halves("L"), "JPEG"), saved(halves("RGBA"), "PNG"),
        saved(halves("P"), "GIF"), saved(halves(), "WEBP"), saved(halves("1"), "TIFF"),
        saved(halves(), "BMP"), saved(halves(), "ICO"),
        jpeg(2)[:-40], b"", b"text", b"\x89PNG\r\n\x1a\n", b"II*\0",
    ],
    ids=range(14),
)  # fmt: skip  # a row stays in sight
def test_what_needs_no_repair_stays_as_it_is(data: bytes) -> None:
    """To the byte; whether it is an image at all is told elsewhere."""
    sent, done = ImageRepair().apply(data)
    assert sent is data
    assert done == ""


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_turned_upright(format_: str, orientation: int) -> None:
    """As Pillow itself would, and no note is left that would have it turned again."""
    data = turned(format_, orientation)
    sent, done = ImageRepair().apply(data)
    image = opened(sent)
    assert done == f"orientation {orientation}"
    assert image.size == ((20, 40) if orientation > 4 else (40, 20))
    assert image.getexif().get(0x0112, 1) == 1
    white = np.asarray(image.convert("L")) > 128
    edges = {"left": white[:, 0], "right": white[:, -1], "top": white[0], "bottom": white[-1]}
    where = next(edge for edge, pixels in edges.items() if pixels.all())
    assert (
        where
        == {2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}[orientation]
    )


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(format_: str) -> None:
    """White stays white."""
    sent, done = ImageRepair().apply(saved(halves("CMYK"), format_, icc_profile=b"of inks"))
    image = opened(sent)
    assert (image.mode, done) == ("RGB", "CMYK to RGB")
    assert "icc_profile" not in image.info
    assert np.asarray(image)[10, 5].min() > 240
    assert np.asarray(image)[10, 35].max() < 60


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(format_: str) -> None:
    """The shades from black to white stay what they are."""
    sent, done = ImageRepair().apply(deep(format_))
    image = opened(sent)
    assert (image.mode, done) == ("L", "16 bits to 8")
    assert np.abs(np.asarray(image).reshape(-1) - np.linspace(0, 255, 800)).max() < 12


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_goes_out(format_: str) -> None:
    """It is what a thumbnail shows."""
    sent, done = ImageRepair().apply(frames(format_))
    image = opened(sent)
    assert done == "frame 1 of 3"
    assert getattr(image, "n_frames", 1) == 1
    assert image.convert("RGB").getpixel((10, 10)) == pytest.approx((254, 0, 0), abs=3)


def test_a_long_side_is_scaled_down_and_the_shape_kept() -> None:
    """Also where the service would take it, if a shorter one is asked for; what is within stays."""
    long = saved(Image.new("1", (16_400, 41)), "PNG")
    sent, done = ImageRepair().apply(long)
    assert (opened(sent).size, done) == ((15_999, 40), "scaled to 15999 x 40")
    sent, done = ImageRepair(max_side_px=30).apply(turned("JPEG", 6))
    assert (opened(sent).size, done) == ((15, 30), "orientation 6; scaled to 15 x 30")
    assert ImageRepair(max_side_px=40).apply(saved(halves(), "PNG"))[1] == ""


def test_transparency_is_kept() -> None:
    """In a PNG; everything else becomes a JPEG."""
    clear = halves("RGBA")
    clear.putalpha(halves("L"))
    image = opened(ImageRepair(max_side_px=30).apply(saved(clear, "PNG"))[0])
    assert (image.format, image.mode) == ("PNG", "RGBA")
    assert image.getchannel("A").getextrema() == (0, 255)
    assert opened(ImageRepair(max_side_px=30).apply(saved(halves(), "PNG"))[0]).format == "JPEG"


def test_a_file_that_is_too_large_is_encoded_anew_and_scaled_only_as_far_as_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest is the file's, so it is known again whatever is asked for."""
    monkeypatch.setattr(repairs_module, "MAX_BYTES", 100_000)
    noise = np.random.default_rng(7).bytes(200 * 200 * 3)
    (tmp_path / "a.bmp").write_bytes(saved(Image.frombytes("RGB", (200, 200), noise), "BMP"))
    mended = ImageRepair().load_file(tmp_path / "a.bmp")
    assert len(mended.data) <= 100_000 < (tmp_path / "a.bmp").stat().st_size
    assert mended.repairs == "encoded anew"
    assert mended.content_sha256 == hashlib.sha256((tmp_path / "a.bmp").read_bytes()).digest()
    (tmp_path / "b.png").write_bytes(saved(Image.frombytes("RGBA", (200, 150), noise), "PNG"))
    mended = ImageRepair().load_file(tmp_path / "b.png")
    assert len(mended.data) <= 100_000 < (tmp_path / "b.png").stat().st_size
    width, height = opened(mended.data).size
    assert mended.repairs == f"scaled to {width} x {height}"
    assert 150 < width < 200


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (turned("JPEG", 6)[:-60], "cannot be repaired: .*truncated"),
        (saved(Image.new("F", (40, 40)), "TIFF"), "32 bits each"),
        (saved(Image.new("1", (16_000, 15_000)), "PNG"), "16000 x 15000 pixels, more than are decoded"),
    ],
)
def test_what_cannot_be_repaired_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    """It needed to be: nothing half right is sent."""
    with pytest.raises(InvalidInputError, match=reason):
        ImageRepair(max_side_px=30).apply(data)


def test_a_huge_jpeg_is_decoded_to_less_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An eighth of its sides takes a sixty-fourth of the memory."""
    monkeypatch.setattr(repairs_module, "_MAX_PX", 50 * 50)
    data = saved(halves(size=(400, 400)), "JPEG")
    assert opened(ImageRepair(max_side_px=50).apply(data)[0]).size == (50, 50)
    with pytest.raises(InvalidInputError, match="400 x 400 pixels, more than are decoded"):
        ImageRepair(max_side_px=60).apply(data)


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "GIF", "WEBP"])
def test_no_bomb_is_suspected_of_a_legal_size(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of Pillow's is neither met nor changed: it is the whole process's."""
    data = saved(Image.new("P" if format_ == "GIF" else "L", (2_000, 1_000)), format_)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_500_000)  # as many times less as the image
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ImageRepair(max_side_px=500).apply(data)[1] == "scaled to 500 x 250"


@pytest.mark.parametrize("side_px", [0, 10, 16_000])
def test_a_side_that_the_service_does_not_take_is_no_option(side_px: int) -> None:
    """It is said before anything is done."""
    with pytest.raises(ConfigurationError, match="must be 11 to 15999"):
        ImageRepair(max_side_px=side_px)


def test_one_large_file_at_a_time_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones do not wait for one another; what is too large for memory is not read at all."""
    real_read, reading, together = load_module.read_file, set[str](), threading.Barrier(2)
    at_once: dict[str, int] = {}

    def read_file(path: Path, *, max_bytes: int) -> tuple[bytes, os.stat_result]:
        kind = path.name[0]
        reading.add(path.name)
        with suppress(threading.BrokenBarrierError):
            together.wait(5 if kind == "s" else 0.2)  # for the other one, which comes if it may
        at_once[kind] = max(at_once.get(kind, 0), len(reading))
        content = real_read(path, max_bytes=max_bytes)
        reading.discard(path.name)
        return content

    monkeypatch.setattr(repairs_module, "read_file", read_file)
    monkeypatch.setattr(repairs_module, "MAX_BYTES", len(jpeg(1)))
    for kind, data in (("small", jpeg(1)), ("large", jpeg(1) + b"\0")):
        paths = [tmp_path / f"{kind} {number}" for number in range(2)]
        for path in paths:
            path.write_bytes(data)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(ImageRepair().load_file, paths))
        together.reset()
    assert at_once == {"s": 2, "l": 1}


def test_a_file_beyond_all_reason_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a file is in memory while it is repaired: 256 MiB is the most."""
    assert repairs_module._MAX_FILE_BYTES == 256 * 1024 * 1024
    monkeypatch.setattr(ImageRepair, "apply", None)
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate((1 << 28) + 1)
    with pytest.raises(InvalidInputError, match="268,435,457 bytes"):
        ImageRepair().load_file(tmp_path / "a.jpg")


async def test_a_job_sends_what_was_repaired_and_records_it(
    embedder: AsyncVisionEmbedder, service: FakeService, tmp_path: Path
) -> None:
    """With the digest of the file; other names of the same content are told the same, without a call."""
    folder, rotated = tmp_path / "images", turned("JPEG", 6)
    folder.mkdir()
    (folder / "a.jpg").write_bytes(rotated)
    (folder / "b.jpg").write_bytes(rotated)
    (folder / "plain.jpg").write_bytes(jpeg(1))

    async def run(repair: ImageRepair | None) -> pd.DataFrame:
        job = EmbeddingJob(embedder, folder, checkpoint=tmp_path / "ck", repair=repair)
        assert (await job.run()).failed == 0
        return pd.read_parquet(tmp_path / "ck" / "vectors").set_index("image_file")

    table = await run(ImageRepair())
    assert table["repairs"].to_dict() == {
        "a.jpg": "orientation 6",
        "b.jpg": "orientation 6",
        "plain.jpg": "",
    }
    sent = next(call.body for call in service.calls if call.body != jpeg(1))
    assert table.loc["a.jpg", "content_sha256"] == hashlib.sha256(rotated).hexdigest()
    for name in ("a.jpg", "b.jpg"):
        np.testing.assert_array_equal(table.loc[name, "vector"], vector_for(sent))
    (folder / "c.jpg").write_bytes(rotated)  # whatever is asked for now, it has its vector
    table = await run(None)
    assert table.loc["c.jpg", "repairs"] == "orientation 6"
    assert len(service.calls) == 2


def test_a_narrow_image_stays_as_wide_as_the_service_asks() -> None:
    """A longest side that would make the other too short is not kept to."""
    narrow = saved(Image.new("RGB", (4000, 40)), "PNG")
    sent, done = ImageRepair(max_side_px=800).apply(narrow)
    assert (opened(sent).size, done) == ((1100, 11), "scaled to 1100 x 11")
