"""Images on their way out: what the service would refuse is refused here, with its reason, and no more."""

from __future__ import annotations

import io
import os
import warnings
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import IcoImagePlugin, Image, ImageFile

from semart_vectors.errors import ConfigurationError, InvalidInputError, UnreadableImageError
from semart_vectors.images import load as images_module
from semart_vectors.images.load import (
    MAX_BYTES,
    SUFFIXES,
    check_image,
    fingerprint_of,
    load_bytes,
    load_file,
    walk_images,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO")


def picture(format_: str = "JPEG", size: tuple[int, int] = (64, 48), mode: str = "RGB") -> bytes:
    """Return an image of noise."""
    pixels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, format_)
    return file.getvalue()


def blank(size: tuple[int, int], format_: str = "PNG") -> bytes:
    """Return a large image that is cheap to make."""
    file = io.BytesIO()
    Image.new("1", size).save(file, format_)
    return file.getvalue()


def large(format_: str, size: tuple[int, int]) -> bytes:
    """Return what is whole by its first and last bytes, and says that it measures so much."""
    width, height = size
    if format_ == "GIF":
        sides = width.to_bytes(2, "little") + height.to_bytes(2, "little")
        # Its one frame is to be cleared away after it, which Pillow makes room for at once.
        return b"GIF89a" + sides + b"\0\0\0!\xf9\4\x08\0\0\0\0,\0\0\0\0" + sides + b"\0\2\0;"
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_of_the_service_passes(format_: str) -> None:
    """By its content: no name is looked at."""
    check_image(picture(format_))


@pytest.mark.parametrize(
    ("format_", "mode"),
    [
        ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "I;16"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"),
        ("TIFF", "CMYK"), ("TIFF", "I;16"), ("TIFF", "1"), ("WEBP", "RGBA"), ("GIF", "L"), ("BMP", "1"),
    ],
)  # fmt: skip  # a row stays in sight
def test_unusual_pixels_pass(format_: str, mode: str) -> None:
    """What a format may hold is the service's business."""
    check_image(picture(format_, mode="L" if mode == "I;16" else mode))


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_several_frames_pass(format_: str) -> None:
    """Animated images and pages."""
    first, *others = (Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue"))
    file = io.BytesIO()
    first.save(file, format_, save_all=True, append_images=others)
    check_image(file.getvalue())


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_rotated_image_passes(orientation: int) -> None:
    """Turning it is left to the service."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.new("RGB", (20, 40)).save(file, "JPEG", exif=exif)
    check_image(file.getvalue())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"just some text, long enough to be an image of its own", "not an image that the service takes"),
        (b"\0" * 1000, "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"\xff\xd8\xff", "cut or damaged"),
        (b"BM and so on", "cut or damaged"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "cut or damaged"),
        (b"RIFF\x08\0\0\0WAVEfmt ", "not an image"),
        (picture(size=(10, 10)), "10 x 10 pixels"),
        (picture(size=(400, 10)), "400 x 10 pixels"),
        (blank((16_000, 20)), "16000 x 20 pixels"),
        (blank((20, 16_001)), "20 x 16001 pixels"),
        (large("GIF", (16_000, 15_000)), "16000 x 15000 pixels"),
        (large("WEBP", (16_000, 15_000)), "16000 x 15000 pixels"),
        (picture() + bytes(MAX_BYTES), "at most 20,971,520"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_service_would_refuse_is_refused_here(data: bytes, reason: str) -> None:
    """Before it costs a call; the sentence says why."""
    with pytest.raises(InvalidInputError, match=reason):
        check_image(data)


@pytest.mark.parametrize("data", [picture(size=(11, 11)), blank((15_999, 11)), blank((11, 15_999))])
def test_the_smallest_and_the_largest_sides_pass(data: bytes) -> None:
    """More than 10 and less than 16,000 pixels."""
    check_image(data)


def test_an_image_of_exactly_the_largest_size_passes() -> None:
    """One byte more is refused."""
    largest = picture("BMP") + bytes(MAX_BYTES - len(picture("BMP")))
    check_image(largest)
    with pytest.raises(InvalidInputError, match="20,971,521 bytes"):
        check_image(largest + b"\0")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_cut_image_is_refused(format_: str, share: float) -> None:
    """A download that broke off looks whole in its header."""
    whole = picture(format_)
    with pytest.raises(InvalidInputError, match="cut or damaged"):
        check_image(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    "after", [b"\0" * 512, b"\r\n", b"<!-- appended -->", bytes(range(256)), picture("PNG")]
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP"])
def test_what_follows_the_end_does_no_harm(format_: str, after: bytes) -> None:
    """Cameras and archives append things; all pixels are there."""
    check_image(picture(format_) + after)


def test_a_jpeg_that_lacks_only_its_end_mark_is_refused() -> None:
    """Whether its last rows are whole, a decoder cannot tell: it counts as cut."""
    with pytest.raises(InvalidInputError, match="cut or damaged"):
        check_image(picture()[:-2])


def test_a_jpeg_that_is_cut_where_its_thumbnail_ends_is_refused() -> None:
    """It ends as a JPEG does, and holds nothing of the image."""
    thumbnail, whole = picture(size=(16, 12)), picture()
    record = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2) + thumbnail
    check_image(whole[:2] + record + whole[2:])
    with pytest.raises(InvalidInputError, match="cut or damaged"):
        check_image(whole[:2] + record)


@pytest.fixture
def _nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to make pixels of a file, and to be warned."""

    def refuse(_: object) -> None:
        raise AssertionError("it was decoded")

    for image in (ImageFile.ImageFile, IcoImagePlugin.IcoImageFile):
        monkeypatch.setattr(image, "load", refuse)


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize("size", [(15_900, 15_800), (15_999, 15_999)])
def test_a_quarter_of_a_gigapixel_passes_without_being_decoded(size: tuple[int, int]) -> None:
    """Its sides are legal: no warning of a bomb, and no memory for its pixels."""
    check_image(blank(size))


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize("format_", ["GIF", "WEBP"])
def test_a_size_that_pillow_takes_for_a_bomb_passes(format_: str) -> None:
    """It is read from the header without Pillow, which would not go on."""
    check_image(large(format_, (15_999, 15_700)))


@pytest.mark.parametrize("size", [(11, 15_999), (300, 40)])
@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"exif": b"Exif\0\0MM"}])
def test_the_sizes_of_all_kinds_of_webp_are_read(size: tuple[int, int], options: dict[str, Any]) -> None:
    """Each keeps it in another way."""
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "WEBP", **options)
    assert images_module._webp_size(file.getvalue()) == size


@pytest.mark.usefixtures("_nothing_is_decoded")
def test_a_large_image_that_seems_cut_is_not_decoded_either() -> None:
    """Seeing for sure would take its pixels' memory; the service sees it too."""
    check_image(blank((15_900, 15_800))[:-12])


def icon(frame: bytes) -> bytes:
    """Return an icon with one PNG in it, that says of itself that it measures 32 x 32."""
    entry = bytes([32, 32, 0, 0, 1, 0, 32, 0]) + len(frame).to_bytes(4, "little") + (22).to_bytes(4, "little")
    return b"\0\0\1\0\1\0" + entry + frame


@pytest.mark.usefixtures("_nothing_is_decoded")
def test_an_icon_is_not_decoded() -> None:
    """A file of a few kilobytes may hold a frame that takes gigabytes."""
    check_image(icon(blank((9_000, 9_000))))


def test_a_damaged_camera_record_does_no_harm() -> None:
    """Pillow warns of it and goes on, and so does the service."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
    data = picture()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_image(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])


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


def found(folder: Path) -> list[str]:
    """Return what a walk finds, in its order."""
    return [name for names in walk_images(folder) for name in names]


def test_images_are_found_in_order_below_a_folder(tmp_path: Path) -> None:
    """A folder's own first, sorted, then its folders'; what has another suffix is no image."""
    wanted = ["B.JPG", "z.webp", "a/1.jpg", "a/2.Tif", "a/c/deep/1.gif", "a b/1.png", "é/\N{SHIP}.jpeg"]
    for name in [*wanted, "a/notes.txt", "jpg", ".jpg", "a/c/1.jpg.part", "z.svg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert found(tmp_path) == wanted


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_counts_in_any_case(tmp_path: Path, suffix: str) -> None:
    """As cameras and old systems write them."""
    for name in (f"a{suffix}", f"b{suffix.upper()}", f"c{suffix.title()}"):
        (tmp_path / name).touch()
    assert len(found(tmp_path)) == 3


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    """The former may go in circles."""
    folder = tmp_path / "images"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "1.jpg").touch()
    (folder / "circle").symlink_to(folder)
    (folder / "2.jpg").symlink_to(folder / "inner" / "1.jpg")
    assert found(folder) == ["2.jpg", "inner/1.jpg"]


def test_odd_names_come_as_they_are(tmp_path: Path) -> None:
    """Blanks, quotes, newlines, leading dashes, both forms of an umlaut, bytes that are no Unicode."""
    names = ["-rf.jpg", " .jpg", "a\nb.jpg", "'\".jpg", "é.jpg", "e\u0301.jpg", "x" * 251 + ".jpg"]
    for name in [*names, "\udcff.jpg"]:
        (tmp_path / name).touch()
    assert found(tmp_path) == sorted([*names, "//ff.jpg"])


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, name: str) -> None:
    """It is what the caller asked for, so it ends the job."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"cannot list the images in .*{name}"):
        list(walk_images(tmp_path / name))


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    """That is no error here."""
    assert found(tmp_path) == []


def test_a_walk_takes_no_more_of_a_large_folder_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows the names piece by piece, and holds those that were picked until they are sorted."""
    monkeypatch.setattr(images_module, "NAMES_AT_A_TIME", 3)
    names = [f"{number:02}.jpg" for number in range(20)]
    for name in names:
        (tmp_path / name).touch()
    shown: list[list[str]] = []

    def pick(piece: list[str]) -> list[str]:
        shown.append(piece)
        return [name for name in piece if name > "05.jpg"]

    pieces = list(walk_images(tmp_path, only=pick))
    assert list(chain.from_iterable(pieces)) == names[6:]
    assert sorted(chain.from_iterable(shown)) == names
    assert max(map(len, pieces + shown)) == 3
    assert pieces[: len(shown)] == [[]] * len(shown)  # a moment to leave after each piece
