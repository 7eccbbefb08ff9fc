"""What the emulator shows of itself over HTTP; no port is opened here."""

from __future__ import annotations

import io
import re
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image

from helpers import jpeg
from semart_vectors.emulator import (
    EmulatedService,
    ServedCall,
    Settings,
    create_app,
    image_decoding,
    recent_images,
)
from semart_vectors.emulator.error_responses import ErrorResponse
from semart_vectors.emulator.image_decoding import thumbnail
from semart_vectors.emulator.recent_images import RecentImages

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGE = "/computervision/retrieval:vectorizeImage?api-version=2024-02-01"
KEY = {"Ocp-Apim-Subscription-Key": "a-secret", "content-type": "image/jpeg"}


def browse(
    service: EmulatedService, *, host: str = "127.0.0.1:8765", client: str = "127.0.0.1", key: bool = False
) -> httpx.AsyncClient:
    """Return a browser on an address of this machine; it has no key unless it gets one."""
    transport = httpx.ASGITransport(create_app(service), client=(client, 50_000))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=KEY if key else {})


def image_call(digest: str, *, status: int = 200, operation: str = "vectorizeImage") -> ServedCall:
    """Return a call with an image."""
    return ServedCall(operation=operation, status=status, body_sha256=digest, body_bytes=0, arrived_s=0)


def recent_images_of(bodies: Iterable[bytes]) -> RecentImages:
    """Return a collection that got these bodies under the digests 0, 1, …."""
    images = RecentImages()
    for number, body in enumerate(bodies):
        images.add(image_call(str(number)), body)
    return images


async def test_the_page_is_one_file_that_may_load_nothing_else() -> None:
    """It names no address but its own, and its policy admits its own script and style by their hashes."""
    async with browse(EmulatedService()) as browser:
        response = await browser.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    addresses = set(re.findall(r"\w+://[\w.]+", response.text))
    assert addresses == {"http://www.w3.org"}  # a namespace, not a place
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_looking_is_no_call() -> None:
    """Neither the page nor what it reads is counted, and no key is asked for."""
    service = EmulatedService(Settings(key="good", requests_per_second=1))
    async with browse(service) as browser:
        for path in ("/", "/_emulator/calls", "/_emulator/images/x.jpg", "/calls"):
            assert (await browser.get(path)).status_code != 401
    assert list(service.ledger.calls) == []


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/"), ("GET", "/_emulator"), ("POST", "/_emulator/calls"), ("GET", "/x")]
)
async def test_every_other_path_is_still_the_service(method: str, path: str) -> None:
    """Without a key it answers 401, with one 404, and the ledger has both."""
    service = EmulatedService()
    async with browse(service) as stranger, browse(service, key=True) as client:
        answers = [(await each.request(method, path)).status_code for each in (stranger, client)]
    assert answers == [401, 404] == [call.status for call in service.ledger.calls]


@pytest.mark.parametrize(
    ("host", "client", "status"),
    [
        ("127.0.0.1:8765", "127.0.0.1", 200),
        ("localhost:8765", "127.0.0.1", 200),
        ("[::1]:8765", "::1", 200),
        ("127.0.0.1:8765", "192.168.1.7", 403),
        ("rebound.example:8765", "127.0.0.1", 403),
        ("rebound_too.example:8765", "127.0.0.1", 403),
        ("localhost.example", "127.0.0.1", 403),
        ("", "127.0.0.1", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/_emulator/calls"])
async def test_only_this_machine_sees_it(path: str, host: str, client: str, status: int) -> None:
    """Whoever comes from elsewhere, or by a name that was bent to point here, sees nothing."""
    async with browse(EmulatedService(), host=host, client=client) as browser:
        assert (await browser.get(path)).status_code == status


async def test_the_calls_are_json_without_the_key() -> None:
    """Settings, counts, calls and images are there; the key is not, in no form."""
    service = EmulatedService(Settings(key="a-secret", requests_per_second=20, latency_s=0.01))
    async with browse(service, key=True) as client:
        await client.post(IMAGE, content=jpeg(1))
        response = await client.get("/_emulator/calls", params={"after": 0, "limit": 5})
    told = response.json()
    assert told["settings"] == {
        "requests_per_second": 20,
        "latency_p50_s": 0.01,
        "latency_p99_s": 0.01,
        "retry_after": True,
        "any_key": False,
    }
    assert told["totals"]["by_status"] == {"200": 1}
    assert told["images"] == [told["calls"][0]["body_sha256"]]
    assert told["calls"][0]["duration_s"] >= 0.01
    assert "a-secret" not in response.text


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=5001", "limit=", "limit=1e3", "after=²"])
async def test_a_cursor_that_means_nothing_is_refused(query: str) -> None:
    """Numbers are whole and within bounds, or the answer says which are."""
    async with browse(EmulatedService()) as browser:
        response = await browser.get(f"/_emulator/calls?{query}")
    assert response.status_code == 400
    assert "must be a whole number from 0 to" in response.text


async def test_an_image_is_shown_small() -> None:
    """What got a vector can be seen as a small JPEG; a digest that nobody knows cannot."""
    service = EmulatedService()
    async with browse(service, key=True) as client:
        await client.post(IMAGE, content=jpeg(1, side_px=600))
        (digest,) = (await client.get("/_emulator/calls")).json()["images"]
        response = await client.get(f"/_emulator/images/{digest}.jpg")
        unknown = await client.get("/_emulator/images/unknown.jpg")
    with Image.open(io.BytesIO(response.content)) as small:
        assert (small.format, small.size) == ("JPEG", (240, 240))
    assert (response.headers["content-type"], unknown.status_code) == ("image/jpeg", 404)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_pixel_mode_has_a_thumbnail(mode: str) -> None:
    """What the service takes can be shown, however long and thin."""
    file = io.BytesIO()
    Image.new("L", (4000, 12), 99).convert(mode).save(file, "TIFF")
    with Image.open(io.BytesIO(thumbnail(file.getvalue()))) as small:
        assert small.size == (240, 1)


def test_a_large_image_has_no_thumbnail(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at it is not worth the memory, unless it is a JPEG, which is decoded at a fraction."""
    monkeypatch.setattr(image_decoding, "LARGE_PX", 300_000)
    for image_format in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.new("RGB", (2000, 2000)).save(file, image_format)
        with pytest.raises(ErrorResponse) if image_format == "PNG" else nullcontext():
            assert thumbnail(file.getvalue())


@pytest.mark.parametrize(("tags", "size"), [(b"\x06", (30, 40)), (b"\x01", (40, 30))])
def test_a_thumbnail_stands_upright(tags: bytes, size: tuple[int, int]) -> None:
    """A camera held on its side says so in a tag."""
    exif = Image.Exif()
    exif[0x0112] = tags[0]
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
    with Image.open(io.BytesIO(thumbnail(file.getvalue()))) as small:
        assert small.size == size


def test_broken_tags_do_not_hide_an_image() -> None:
    """Where they cannot be read, the picture is shown as it lies."""
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "JPEG", exif=b"Exif\0\0broken")
    with Image.open(io.BytesIO(thumbnail(file.getvalue()))) as small:
        assert small.size == (40, 30)


def test_only_the_last_images_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both their number and their bytes have a bound; the newest comes first, and once."""
    assert recent_images_of([b""] * 30).digests() == [str(number) for number in range(29, 5, -1)]
    monkeypatch.setattr(recent_images, "MAX_BYTES", 10)
    images = recent_images_of([b"1234"] * 3)
    images.add(image_call("1"), b"1234")
    assert images.digests() == ["1", "2"]


def test_only_images_that_got_a_vector_are_kept() -> None:
    """Refused images and texts are not kept."""
    images = RecentImages()
    images.add(image_call("refused", status=429), b"a")
    images.add(image_call("text", operation="vectorizeText"), b"a")
    assert images.digests() == []


async def test_what_was_listed_can_be_seen_until_the_next_list() -> None:
    """However fast images come, a page that was told of some has the time to ask for them."""
    images = recent_images_of([jpeg(1)])
    assert images.digests() == ["0"]
    for number in range(100, 150):
        images.add(image_call(str(number)), b"")
    assert await images.thumbnail("0")
    assert await recent_images_of([jpeg(1), *[b""] * 30]).thumbnail("0") is None


async def test_what_cannot_be_shown_is_not_listed_again() -> None:
    """An answer may come without a look at the image, so it need not be one."""
    images = recent_images_of([jpeg(1), b"no picture"])
    assert images.digests() == ["1", "0"]
    assert await images.thumbnail("1") is None
    assert images.digests() == ["0"]


async def test_a_thumbnail_is_made_once_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only for who looks, in a thread, and of those made the last are kept."""
    made_in: list[threading.Thread] = []

    def make(_body: bytes) -> bytes:
        made_in.append(threading.current_thread())
        return b"s"

    monkeypatch.setattr(recent_images, "thumbnail", make)
    images = RecentImages()
    for number in range(60):
        images.add(image_call(str(number)), b"")
        assert [await images.thumbnail(str(number)) for _ in range(2)] == [b"s", b"s"]
    assert len(made_in) == 60
    assert threading.current_thread() not in made_in
    assert len(images._thumbnails) == 48
