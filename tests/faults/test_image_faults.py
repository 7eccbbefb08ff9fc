"""Images of every kind in one folder: what cannot be sent has its reason, and costs no call and no image."""

from __future__ import annotations

import asyncio
import ctypes
import io
import os
import socket
import zlib
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from command_line import cli, end, start
from fake_service import Call, FakeService, Reply, good_reply, vector_for
from helpers import jpeg
from pictures import frames, saved
from semart_vectors import ImageRepair
from semart_vectors.errors import InvalidInputError
from semart_vectors.images.read_image import MAX_BYTES, check_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scorecard import Extent

pytestmark = pytest.mark.row(21)

EMBED = ("embed", "images", "--requests-per-second=1000", "--max-in-flight=2", "--checkpoint")


def noise(mode: str, size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Return an image that no other is equal to."""
    width, height = size
    channels = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    return Image.frombytes(mode, size, np.random.default_rng(len(mode)).bytes(width * height * channels))


def blank_png(size: tuple[int, int], *, bits: int = 1, colour_type: int = 0) -> bytes:
    """Return a black image of any size, without ever holding its pixels."""
    width, height = size
    row = b"\0" + bytes((width * bits * (3 if colour_type else 1) + 7) // 8)
    packer = zlib.compressobj(1)
    pixels = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([bits, colour_type, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4) for kind, data in chunks
    )


def rotated() -> bytes:
    """Return an image that was taken with the camera on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(noise("RGB"), "JPEG", exif=exif)


def make_socket(path: Path) -> None:
    """Leave a socket that nobody listens to."""
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's name has no room for a long path
    os.close(folder)


REFUSED: dict[str, tuple[bytes | Callable[[Path], object], str]] = {
    "empty.jpg": (b"", "it is empty"),
    "text.jpg": (b"These are words.\n" * 99, "not an image that the service takes"),
    "html.png": (b"<!DOCTYPE html><title>404</title>", "not an image that the service takes"),
    "svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image that the service takes"),
    "sound.webp": (b"RIFF\x04\0\0\0WAVE", "not an image that the service takes"),
    "zeros.bmp": (bytes(5_000), "not an image that the service takes"),
    "start.jpg": (jpeg(0)[:3], "cut or damaged"),
    "header.jpg": (jpeg(0)[:400], "cut or damaged"),
    "half.jpg": (jpeg(0)[:1_000], "cut or damaged"),
    "end.jpg": (jpeg(0)[:-2], "cut or damaged"),
    "header.png": (saved(noise("RGB"), "PNG")[:30], "cut or damaged"),
    "half.png": (saved(noise("RGB"), "PNG")[:900], "cut or damaged"),
    "half.gif": (saved(noise("L"), "GIF")[:900], "cut or damaged"),
    "half.webp": (saved(noise("RGB"), "WEBP")[:300], "cut or damaged"),
    "9x9.png": (saved(noise("RGB", (9, 9)), "PNG"), "it measures 9 x 9 pixels"),
    "flat.jpg": (saved(noise("RGB", (400, 10)), "JPEG"), "it measures 400 x 10 pixels"),
    "large.jpg": (jpeg(1) + bytes(MAX_BYTES + 1 - len(jpeg(1))), "it has 20,971,521 bytes"),
    "large.bmp": (saved(Image.new("RGB", (2_700, 2_700)), "BMP"), "it has 21,870,054 bytes"),
    "16001.png": (blank_png((16_001, 20)), "it measures 16001 x 20 pixels"),
    "bomb.png": (blank_png((30_000, 20_000)), "it measures 30000 x 20000 pixels"),
    "pipe.jpg": (os.mkfifo, "it cannot be read: it is not a regular file"),
    "socket.jpg": (make_socket, "it cannot be read: No such device or address"),
    "dangling.jpg": (partial(os.symlink, "nowhere"), "it cannot be read: No such file or directory"),
    "loop.jpg": (partial(os.symlink, "loop.jpg"), "it cannot be read: Too many levels of symbolic links"),
    "device.jpg": (partial(os.symlink, "/dev/zero"), "it cannot be read: it is not a regular file"),
    "~vanishing.jpg": (jpeg(999), "it cannot be read: No such file or directory"),
}  # fmt: skip  # a kind a line
"""What cannot be sent, and the reason that is to be told."""

REPAIRED = {
    "large.jpg": "encoded anew",
    "large.bmp": "encoded anew",
    "16001.png": "scaled to 15999 x 20",
    "rotated.jpg": "orientation 6",
    "cmyk.jpg": "CMYK to RGB",
    "cmyk.tif": "CMYK to RGB",
    "deep.png": "16 bits to 8",
    "animated.gif": "frame 1 of 3",
    "animated.webp": "frame 1 of 3",
    "pages.tif": "frame 1 of 3",
}


def odd_images(*, in_full: bool) -> dict[str, bytes]:
    """Return what is unusual and goes out as it is."""
    deep = Image.fromarray(np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50)
    legal = (15_999, 15_700)
    images = {
        "rotated.jpg": rotated(),
        "cmyk.jpg": saved(noise("CMYK"), "JPEG"),
        "cmyk.tif": saved(noise("CMYK"), "TIFF"),
        "deep.png": saved(deep, "PNG"),
        "animated.gif": frames("GIF"),
        "animated.webp": frames("WEBP"),
        "pages.tif": frames("TIFF"),
        "png.jpg": saved(noise("RGB"), "PNG"),
        "jpeg.webp": saved(noise("RGB"), "JPEG", quality=50),
        "icon.ico": saved(noise("RGB", (64, 64)), "ICO"),
        "quarter of a gigapixel.png": blank_png(legal),
        "folder.jpg/inner.jpg": jpeg(500),
    }
    if in_full:
        images["in colours.png"] = blank_png(legal, bits=8, colour_type=2)
        images["in grey.jpg"] = saved(Image.new("L", legal), "JPEG", quality=30)
        assert max(map(len, images.values())) <= MAX_BYTES
    return images


def write(folder: Path, images: dict[str, bytes]) -> None:
    """Write files, among them those that are none."""
    for name, content in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, (made, _) in REFUSED.items():
        if isinstance(made, bytes):
            (folder / name).write_bytes(made)
        else:
            made(folder / name)


def check(checkpoint: Path, refused: dict[str, str], sent: dict[str, bytes]) -> None:
    """Check that each refused image has its reason, without a call, and each other its own vector."""
    failures = pd.read_parquet(checkpoint / "failures.parquet").set_index("image_file")
    assert sorted(failures.index) == sorted(refused)
    assert (failures["attempts"] == 0).all()
    for name, reason in refused.items():
        assert reason in str(failures.loc[name, "message"]), name
    vectors = pd.read_parquet(checkpoint / "vectors").set_index("image_file")
    assert sorted(vectors.index) == sorted(sent)
    for name, content in sent.items():
        np.testing.assert_array_equal(vectors.loc[name, "vector"], vector_for(content), err_msg=name)
        assert vectors.loc[name, "repairs"] == (REPAIRED.get(name, "") if checkpoint.name == "mended" else "")


def mended(images: dict[str, bytes]) -> dict[str, bytes]:
    """Return what a repair makes of images, each decoded to see that it is one."""
    sent = {name: ImageRepair().apply(content)[0] for name, content in images.items()}
    for name in REPAIRED:
        with Image.open(io.BytesIO(sent[name])) as image:
            image.load()
            assert image.mode in {"RGB", "RGBA", "L"}
            assert getattr(image, "n_frames", 1) == 1
            assert 1 < max(image.size) < 16_000
            assert len(sent[name]) <= MAX_BYTES
    return sent


async def test_every_image_has_its_vector_or_its_reason(
    tmp_path: Path, extent: Extent, score: Callable[[str], None]
) -> None:
    """Through the real command line, with what vanishes while it runs; then once more with repairs."""
    numbers = range(1_000, extent.pick(quick=1_300, all=3_000))
    plain = {f"plain-{number}.jpg": jpeg(number) for number in numbers}
    odd = await asyncio.to_thread(odd_images, in_full=extent.pick(quick=False, all=True))
    images = plain | odd
    await asyncio.to_thread(write, tmp_path / "images", images)

    def answer(call: Call) -> Reply:
        # It was listed before the first call, and is the last to be read.
        (tmp_path / "images" / "~vanishing.jpg").unlink(missing_ok=True)
        return good_reply(call)

    async with FakeService(answer) as service:
        ran = await cli(*EMBED, "as-is", cwd=tmp_path, service=service)
        assert ran.code == 3, ran.err
        assert "Warning" not in ran.err
        assert Counter(service.paid) == Counter(images.values())
        assert len(service.calls) == len(images)
        refused = {name: reason for name, (_, reason) in REFUSED.items()}
        await asyncio.to_thread(check, tmp_path / "as-is", refused, images)

        service.calls.clear()
        service.statuses.clear()
        (tmp_path / "images" / "~vanishing.jpg").write_bytes(jpeg(999))
        ran = await cli(*EMBED, "mended", "--repair-images", cwd=tmp_path, service=service)
        assert ran.code == 3, ran.err
        images |= {name: (tmp_path / "images" / name).read_bytes() for name in REPAIRED}
        sent = await asyncio.to_thread(mended, images)
        assert Counter(service.paid) == Counter(sent.values())
        refused = {name: reason for name, reason in refused.items() if name not in REPAIRED}
        await asyncio.to_thread(check, tmp_path / "mended", refused, sent)
    score(
        f"{len(REFUSED)} of {len(REFUSED)} kinds with their reason and 0 calls; {len(plain):,} plain and "
        f"{len(odd)} odd images with their own vectors; {len(REPAIRED)} of {len(REPAIRED)} repaired"
    )


async def test_names_that_lead_nowhere_are_refused_likewise(tmp_path: Path, service: FakeService) -> None:
    """A table may name anything: a folder, what is missing, what is outside."""
    reasons = {
        "folder.jpg": "it cannot be read: Is a directory",
        "missing.jpg": "it cannot be read: No such file or directory",
        "a.jpg/b.jpg": "it cannot be read: Not a directory",
        "../outside.jpg": "its name leads out of the folder of images",
        str(tmp_path / "outside.jpg"): "its name leads out of the folder of images",
        "folder.jpg//inner.jpg": "separate folders by one /",
    }
    (tmp_path / "images" / "folder.jpg").mkdir(parents=True)
    for name in ("outside.jpg", "images/a.jpg", "images/folder.jpg/inner.jpg"):
        (tmp_path / name).write_bytes(jpeg(1))
    (tmp_path / "table.csv").write_text("\n".join(["image_file", "a.jpg", *reasons]))
    ran = await cli(*EMBED, "ck", "--metadata", "table.csv", cwd=tmp_path, service=service)
    assert (ran.code, service.paid) == (3, [jpeg(1)])
    await asyncio.to_thread(check, tmp_path / "ck", reasons, {"a.jpg": jpeg(1)})


def give_up_roots_right_to_read() -> None:
    """Be refused what the owner of a file is refused; does nothing for any other user."""
    drop, rights = 24, (1, 2)  # PR_CAPBSET_DROP; CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for right in rights:
        ctypes.CDLL(None).prctl(drop, right, 0, 0, 0)


async def test_a_file_without_permission_is_told(tmp_path: Path, service: FakeService) -> None:
    """The others are not concerned."""
    (tmp_path / "images").mkdir()
    for number in range(2):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(jpeg(number))
    (tmp_path / "images" / "0.jpg").chmod(0)
    env = {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"}
    process = await start(*EMBED, "ck", cwd=tmp_path, env=env, before=give_up_roots_right_to_read)
    assert (await end(process)).code == 3
    reasons = {"0.jpg": "it cannot be read: Permission denied"}
    await asyncio.to_thread(check, tmp_path / "ck", reasons, {"1.jpg": jpeg(1)})


def test_an_image_cut_anywhere_is_refused(extent: Extent, score: Callable[[str], None]) -> None:
    """At every length, until nothing that a picture needs is missing."""
    step = extent.pick(quick=71, all=1)
    cuts = 0
    for format_ in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO"):
        whole = saved(noise("RGB"), format_)
        # Behind the last pixel a PNG has their sums and its end, 20 bytes, and a GIF the ends of its blocks.
        needed = len(whole) - {"PNG": 20, "GIF": 2}.get(format_, 0)
        for length in range(0, needed, step):
            with pytest.raises(InvalidInputError, match=r"cut or damaged|empty|not an image"):
                check_image(whole[:length])
            cuts += 1
    score(f"{cuts:,} of {cuts:,} cuts refused")
