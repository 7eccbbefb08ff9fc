"""What the service would refuse is refused here, with its reason, and nothing else is."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Literal

import pytest
from PIL import IcoImagePlugin, Image, ImageFile

from pictures import blank, picture
from semart_vectors.errors import InvalidInputError
from semart_vectors.images import formats
from semart_vectors.images.read_image import MAX_BYTES, check_image, is_plain_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "ICO", "TIFF", "MPO")


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
        (b"\xff", "not an image"),
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


def gradient(format_: str, **options: object) -> bytes:
    """Return an image with something to see everywhere, of about 100 kB or more."""
    file = io.BytesIO()
    across = Image.linear_gradient("L").resize((400, 300))
    noise = Image.effect_noise((400, 300), 60)
    Image.merge("RGB", (across, across.rotate(180), noise)).save(file, format_, **options)
    return file.getvalue()


def test_an_image_whose_end_has_not_arrived_is_refused() -> None:
    """The file has its full size, and zeros where the rest should be: a decoder would see grey there."""
    wholes = [
        gradient("JPEG", quality=quality, progressive=progressive)
        for quality in (30, 75, 95, 100)
        for progressive in (False, True)
    ]
    wholes += [gradient("ICO", sizes=[(256, 256)]), gradient("PNG"), gradient("GIF")]
    for whole in wholes:
        check_image(whole)
        for arrived in (len(whole) * 6 // 10, len(whole) - 600):
            with pytest.raises(InvalidInputError, match=r"its end has not arrived|cut or damaged"):
                check_image(whole[:arrived] + bytes(len(whole) - arrived))


def test_where_the_end_is_missing_is_said() -> None:
    """So that whoever looks at the file finds it."""
    whole = gradient("JPEG", quality=95)
    arrived = len(whole) // 2
    while not whole[arrived - 1]:
        arrived -= 1
    with pytest.raises(
        InvalidInputError, match=rf"from byte {arrived:,} on it holds nothing but zeros; copy"
    ):
        check_image(whole[:arrived] + bytes(len(whole) - arrived))


@pytest.mark.parametrize("format_", FORMATS)
def test_a_picture_that_is_black_below_passes(format_: str) -> None:
    """Whether or not its format makes zeros of that; and with zeros behind its end."""
    file = io.BytesIO()
    image = Image.new("RGB", (256, 256))
    image.paste(Image.effect_noise((256, 64), 90), (0, 0))
    image.save(file, format_)
    check_image(file.getvalue())
    check_image(file.getvalue() + bytes(4096))


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
    assert formats._webp_size(file.getvalue()) == size


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


def icon_of(*frames: bytes, at: int | None = None, side: int = 32) -> bytes:
    """Return an icon whose directory says where each frame lies; `at` moves the last one."""
    start = 6 + 16 * len(frames)
    directory = b""
    for number, frame in enumerate(frames, 1):
        offset = at if at is not None and number == len(frames) else start
        sizes = len(frame).to_bytes(4, "little") + offset.to_bytes(4, "little")
        directory += bytes([side % 256, side % 256, 0, 0, 1, 0, 32, 0]) + sizes
        start += len(frame)
    return b"\0\0\1\0" + len(frames).to_bytes(2, "little") + directory + b"".join(frames)


def test_the_frames_of_an_icon_lie_within_it() -> None:
    """Up to its last byte, and in any order; a size of 0 in its directory means 256."""
    frame = blank((32, 32))
    whole = icon_of(frame, frame)
    check_image(whole)
    check_image(icon_of(frame, frame, at=38))
    check_image(icon_of(frame, side=256))
    check_image(whole + b"appended")
    for damaged in (
        whole[:-1],
        whole[:30],  # within its directory
        icon_of(frame, frame, at=len(whole) - len(frame) + 1),
        icon_of(),
    ):
        with pytest.raises(InvalidInputError, match="cut or damaged: a frame in it is cut"):
            check_image(damaged)


@pytest.mark.parametrize("side", [10, 11, 255, 256])
def test_an_icon_says_its_size_in_its_directory(side: int) -> None:
    """Of the first frame; one that is too small is refused like any image."""
    data = icon_of(blank((32, 32)), side=side)
    if side == 10:
        with pytest.raises(InvalidInputError, match="10 x 10 pixels"):
            check_image(data)
    else:
        check_image(data)


def tiff_of(*, big_endian: bool = False, tiles: bool = False, long: bool = True, pieces: int = 1) -> bytes:
    """Return a TIFF with 256 bytes of pixels before its directory, which says nothing but where they are."""
    order: Literal["little", "big"] = "big" if big_endian else "little"
    kind, size = (4, 4) if long else (3, 2)  # of a number in the lists
    offsets = [8 + 256 // pieces * piece for piece in range(pieces)]
    lists = [
        b"".join(value.to_bytes(size, order) for value in values)
        for values in (offsets, [256 // pieces] * pieces)
    ]
    directory = (2).to_bytes(2, order)
    at = 8 + 256
    for tag, values in zip((324, 325) if tiles else (273, 279), lists, strict=True):
        directory += tag.to_bytes(2, order) + kind.to_bytes(2, order) + pieces.to_bytes(4, order)
        directory += values.ljust(4, b"\0") if len(values) <= 4 else at.to_bytes(4, order)
        at += len(values)
    magic = b"MM\0*" if big_endian else b"II*\0"
    return magic + at.to_bytes(4, order) + bytes(256) + b"".join(lists) + directory + bytes(4)


@pytest.mark.usefixtures("_nothing_is_decoded")
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("tiles", [False, True])
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_a_tiff_is_complete_if_its_pieces_lie_within_it(
    *, big_endian: bool, tiles: bool, long: bool, pieces: int
) -> None:
    """Strips or tiles, in both byte orders, with their places in or outside of the directory."""
    whole = tiff_of(big_endian=big_endian, tiles=tiles, long=long, pieces=pieces)
    assert formats._tiff_is_complete(whole)
    check_image(whole)
    end_of_directory = len(whole) - 4  # before the place of a next one, which there is none of
    assert formats._tiff_is_complete(whole[:end_of_directory])
    assert not formats._tiff_is_complete(whole[: end_of_directory - 1])


@pytest.mark.parametrize("big_endian", [False, True])
def test_a_tiff_is_cut_where_a_piece_ends_behind_it(*, big_endian: bool) -> None:
    """The directory may come first, and be all that arrived."""
    whole = tiff_of(big_endian=big_endian)
    order: Literal["little", "big"] = "big" if big_endian else "little"
    place = whole.index((279).to_bytes(2, order) + (4).to_bytes(2, order)) + 8
    room = len(whole) - 8
    for length, complete in ((room, True), (room + 1, False)):
        longer = whole[:place] + length.to_bytes(4, order) + whole[place + 4 :]
        assert formats._tiff_is_complete(longer) is complete


def test_the_blocks_of_a_gif_are_followed_to_its_end() -> None:
    """Past palettes, extensions and blocks: a byte within one of them may look like the end."""
    palette = b";;;" * 2
    head = b"GIF89a" + (12).to_bytes(2, "little") * 2
    extension = b"!\xfe\x03;;;\0"
    sides = bytes(4) + (12).to_bytes(2, "little") * 2
    frame = b"," + sides + b"\x80" + palette + b"\x02" + b"\x02;;\x01;\0"
    whole = head + b"\x80\0\0" + palette + extension + frame + b";"
    assert formats._gif_is_complete(whole)
    assert formats._gif_is_complete(whole + b"appended")
    assert formats._gif_is_complete(head + b"\0\0\0" + frame + extension + b";")
    for cut in range(1, len(whole)):
        assert not formats._gif_is_complete(whole[:cut]), cut


@pytest.mark.parametrize(
    ("format_", "check"),
    [("BMP", formats._bmp_is_complete), ("WEBP", formats._webp_is_complete)],
)
def test_a_length_in_the_header_is_the_whole_file_s(format_: str, check: Callable[[bytes], bool]) -> None:
    """One byte less is cut."""
    whole = picture(format_)
    assert check(whole)
    assert check(whole + b"more")
    assert not check(whole[:-1])


def test_a_png_ends_with_its_last_chunk() -> None:
    """Within the last bytes, as some programs append a few."""
    whole = picture("PNG")
    assert formats._png_is_complete(whole + bytes(24))
    assert not formats._png_is_complete(whole + bytes(25))
    assert not formats._png_is_complete(whole[:-9])


def test_the_size_of_a_jpeg_stands_behind_its_other_segments() -> None:
    """Segments are skipped by their lengths; the markers of some tables lie among those of frame headers."""
    start, size = b"\xff\xd8", b"\xff\xc2\0\x0b\x08" + (33).to_bytes(2) + (44).to_bytes(2)
    tables = b"".join(
        b"\xff" + bytes([marker]) + b"\0\x09" + bytes(7) for marker in (0xC4, 0xC8, 0xCC, 0xDB, 0xE0)
    )
    assert formats.jpeg_size(start + tables + size) == (44, 33)
    assert formats.jpeg_size(start + tables + size[:-1]) == (0, 0)
    assert formats.jpeg_size(start + tables + b"\0" + size) == (0, 0)
    for marker in (0xC0, 0xC1, 0xCF):
        assert formats.jpeg_size(start + size.replace(b"\xc2", bytes([marker]))) == (44, 33)
    assert formats.jpeg_size(start + size.replace(b"\xc2", b"\xd0")) == (0, 0)


@pytest.mark.parametrize(("end", "found"), [(b"", True), (b"\0\r\n \0", True), (b"x", False)])
def test_zeros_and_line_ends_may_follow_the_end_of_a_jpeg(end: bytes, *, found: bool) -> None:
    """Cameras append them; anything else is looked at more closely."""
    assert formats.has_jpeg_end(picture() + end) is found
    assert is_plain_jpeg(picture() + end) is found
    check_image(picture() + end)


@pytest.mark.parametrize(
    ("size", "plain"), [((11, 11), True), ((10, 11), False), ((11, 10), False), ((16_000, 11), False)]
)
def test_a_plain_jpeg_has_a_size_that_the_service_takes(size: tuple[int, int], *, plain: bool) -> None:
    """So has one of the largest number of bytes; one byte more is not plain."""
    data = picture(size=size)
    assert is_plain_jpeg(data) is plain
    largest = data + bytes(MAX_BYTES - len(data))
    assert is_plain_jpeg(largest) is plain
    assert not is_plain_jpeg(largest + b"\0")
