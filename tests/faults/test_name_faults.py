"""Names of every kind through the whole line: to each image its own vector, and its name back, exactly."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from command_line import cli, end, start
from fake_service import FakeService, vector_for
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, merge_vectors
from semart_vectors.images.names import to_path, to_text
from semart_vectors.metadata.tables import read_metadata, write_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorecard import Extent

pytestmark = pytest.mark.row(22)

NAMES = [
    b" .jpg", b"  two  blanks .jpg", b"tab\t.jpg", b"\nnew\nline.jpg", b"return\r.jpg", b"both\r\n.jpg",
    b'"quoted".jpg', b'"', b"'.jpg", b"a,b;c|d.jpg", b"`$HOME`.jpg", b"*?[a].jpg", b"#.jpg", b"=1+1.jpg",
    b"-rf.jpg", b"--checkpoint.jpg", b"-", b".hidden.jpg", b"..jpg.jpg", b"...jpg", b".. .jpg", b"~.jpg",
    b"100%.jpg", b"%s%n.jpg", b"%2F.jpg", b"caf%e9.jpg", b"caf\\xe9.jpg", b"back\\slash.jpg", b"\\.",
    b"NA.jpg", b"None", b"null", b"true.jpg", b"1e5.jpg", b"same.jpg", b"one/same.jpg", b"two/same.jpg",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}.jpg".encode(), b"cafe\xcc\x81.jpg", b"caf\xe9.jpg",
    b"caf/e9.jpg", b"caf/\xe9.jpg", b"caf\xe9/.jpg.jpg", b"caf\xe9\xe9.jpg", b"\xe9/\xe9/e9e9.jpg",
    b"\xff\xfe.jpg", b"\xc3.jpg", b"\xed\xa0\x80.jpg", b"\xed\xb3\xa9.jpg", b"\xc0\xaf.jpg",
    b"\xf0\x9f\x9a.jpg", b"\xf4\x90\x80\x80.jpg", "\N{SHIP}.jpg".encode(), "\u202egpj.jpg".encode(),
    "\U0001f469\u200d\U0001f3a8.jpg".encode(), "\ufeff.jpg".encode(), "\xa0.jpg".encode(),
    "\u2028.jpg".encode(), "\x85.jpg".encode(), "\u2044\u2215.jpg".encode(), "\u0130.jpg".encode(),
    "\N{GREEK SMALL LETTER OMEGA}\N{OHM SIGN}.jpg".encode(), "\ue000\ufffd\uffff.jpg".encode(),
    b"\x01\x1b[31m\x07\x7f.jpg", b"x" * 251 + b".jpg", b"\xe9" * 251 + b".jpg", b"I.JPG", b"C:\\a.jpg",
]  # fmt: skip  # in groups
"""Those without a suffix get one."""


def with_suffix(name: bytes) -> bytes:
    """Make a name that of an image."""
    return name if name.lower().endswith(b".jpg") else name + b".jpg"


def write(folder: Path, names: list[bytes]) -> dict[bytes, bytes]:
    """Write an image of its own for each name; return its bytes by name."""
    images: dict[bytes, bytes] = {}
    for number, name in enumerate(map(with_suffix, names)):
        path = os.path.join(os.fsencode(folder), name)  # noqa: PTH118 - of bytes
        Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
        images[name] = jpeg(number, side_px=12)
        Path(os.fsdecode(path)).write_bytes(images[name])
    return images


def metadata(images: dict[bytes, bytes]) -> pd.DataFrame:
    """Return a table with a row for each image, in no order."""
    texts = [to_text(os.fsdecode(name)) for name in images]
    random.Random(7).shuffle(texts)  # noqa: S311 - no secret
    return pd.DataFrame({"image_file": texts, "title": texts})


def check(table: pd.DataFrame, images: dict[bytes, bytes]) -> None:
    """Check that names come back to the byte, each once, with the vector of their own image."""
    names = [os.fsencode(to_path(text)) for text in table["image_file"]]
    assert sorted(names) == sorted(images)
    if "title" in table:
        assert table["title"].tolist() == table["image_file"].tolist()
    for name, vector in zip(names, table["vector"], strict=True):
        np.testing.assert_array_equal(vector, vector_for(images[name]))


def read_tab(path: Path) -> list[pd.DataFrame]:
    """Read a TAB form with pandas and with our own reader."""
    found: list[Any] = [pd.read_csv(path, sep="\t", keep_default_na=False), read_metadata(path)]
    for table in found:
        table["vector"] = [np.array(text.strip("[]").split(","), np.float32) for text in table["vector"]]
    return found


async def test_names_of_every_kind_come_through_the_whole_line(
    service: FakeService, tmp_path: Path, score: Callable[[str], None]
) -> None:
    """Embed, resume without a call, merge to both forms; on a terminal that shows nothing but ASCII."""
    images = await asyncio.to_thread(write, tmp_path / "images", NAMES)
    await asyncio.to_thread(write_metadata, metadata(images), tmp_path / "names.tsv")
    env = {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k", "PYTHONIOENCODING": "ascii"}

    async def run(*arguments: str) -> None:
        ran = await end(await start(*arguments, cwd=tmp_path, env=env))
        assert ran.code == 0, ran.err

    embed = ("embed", "images", "--checkpoint", "ck", "--requests-per-second=1000", "--include-hidden")
    await run(*embed)
    assert Counter(service.paid) == Counter(images.values())
    await run(*embed)
    await run(*embed, "--metadata", "names.tsv", "--json")
    assert len(service.calls) == len(images)
    async with asyncio.TaskGroup() as group:
        group.create_task(run("merge", "names.tsv", "ck", "-o", "out.parquet", "--json"))
        group.create_task(run("merge", "names.tsv", "ck", "-o", "out.csv"))
    check(pd.read_parquet(tmp_path / "ck" / "vectors"), images)
    check(pd.read_parquet(tmp_path / "out.parquet"), images)
    for table in await asyncio.to_thread(read_tab, tmp_path / "out.csv"):
        check(table, images)
    score(f"{len(images)} of {len(images)} kinds exact, vectors their own")


async def test_no_name_does_a_terminal_harm(
    service: FakeService, tmp_path: Path, score: Callable[[str], None]
) -> None:
    """Each name of a failed image is told, in printable characters, and stands as it is in the tables."""
    harmful = [b"a\x1b]0;b\x07.jpg", b"c\r\n.jpg", b"\xe9\x9b.jpg", "\u202egpj.jpg".encode(), b"d\x9b31m.jpg"]
    images = await asyncio.to_thread(write, tmp_path / "images", harmful)
    for name in images:
        (tmp_path / "images" / os.fsdecode(name)).write_bytes(b"no image")
    embed = ("embed", "images", "--checkpoint", "ck", "--requests-per-second=1000")
    ran = await cli(*embed, cwd=tmp_path, service=service)
    assert (ran.code, service.calls) == (3, [])
    told = [line for line in ran.err.splitlines() if ": it is not an image" in line]
    assert len(told) == len(images)
    assert all(line.isprintable() for line in told)
    assert r"  a\x1b]0;b\x07.jpg: it is not an image" in ran.err
    failures = pd.read_parquet(tmp_path / "ck" / "failures.parquet")
    assert sorted(os.fsencode(to_path(text)) for text in failures["image_file"]) == sorted(images)
    score(f"{len(harmful)} that would harm a terminal escaped")


PARTS = (
    st.binary(min_size=1, max_size=20)
    .map(lambda data: data.replace(b"/", b"|").replace(b"\0", b"0"))
    .filter(lambda part: part not in {b".", b".."})
)


async def _through_the_line(folder: Path, names: list[bytes]) -> None:
    images = await asyncio.to_thread(write, folder / "images", names)
    async with (
        FakeService() as service,
        AsyncVisionEmbedder(service.endpoint, "k", requests_per_second=None, retry=QUICK) as embedder,
    ):
        for _ in range(2):
            await EmbeddingJob(
                embedder, folder / "images", checkpoint=folder / "ck", include_hidden=True, progress=False
            ).run()
        assert len(service.calls) == len(images)
    for name in ("out.parquet", "out.tsv"):
        await asyncio.to_thread(merge_vectors, metadata(images), folder / "ck", folder / name)
    check(pd.read_parquet(folder / "out.parquet"), images)
    for table in await asyncio.to_thread(read_tab, folder / "out.tsv"):
        check(table, images)


def test_names_of_any_bytes_come_through_the_whole_line(extent: Extent, score: Callable[[str], None]) -> None:
    """At random, some in a folder of such a name."""
    examples = extent.pick(quick=15, all=1000)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(folder=PARTS, names=st.lists(PARTS, min_size=1, max_size=6, unique=True), inside=st.integers(0, 3))
    def come_through(folder: bytes, names: list[bytes], inside: int) -> None:
        paths = [folder + b"/" + name if at < inside else name for at, name in enumerate(names)]
        with tempfile.TemporaryDirectory() as temporary:
            asyncio.run(_through_the_line(Path(temporary), paths))

    come_through()
    score(f"{examples:,} random trees exact")
