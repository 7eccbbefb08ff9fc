"""Search among real photographs with the real service's vectors; skipped where they are absent."""

from __future__ import annotations

import asyncio
import json
import math
import struct
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from anyio.from_thread import start_blocking_portal
from click.testing import CliRunner

from helpers import QUICK, SHARED_DATA
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, Gallery, merge_vectors
from semart_vectors.cli import cli
from semart_vectors.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDED = SHARED_DATA / "azure_vectors"
MODEL = "2022-04-11"

pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the real photographs and vectors are not part of the project"
)


@dataclass(frozen=True)
class Photographs:
    """The photographs, embedded and merged as a user would, and a service that replays their vectors."""

    merged: Path
    endpoint: str
    names: list[str]
    """In the order of the merged file."""
    nearest: dict[str, list[tuple[str, float]]]
    """Of each photograph all 120 in their order with their scores, by Python's own numbers alone."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Photographs]:
    """Embed them through a service that replays what the real one answered, and merge."""
    folder = tmp_path_factory.mktemp("photographs")
    recorded: dict[str, list[float]] = json.loads((RECORDED / "vectors.json").read_text())
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(portal.call(replaying)) as emulator,
    ):
        asyncio.run(embed(emulator.endpoint, folder / "checkpoint"))
        merge_vectors(
            pd.DataFrame({"image_file": list(recorded)}),
            folder / "checkpoint",
            folder / "photographs.parquet",
        )
        yield Photographs(
            folder / "photographs.parquet", emulator.endpoint, list(recorded), neighbours(recorded)
        )


async def replaying() -> Emulator:
    """Make the service, in its own loop."""
    return Emulator(replay=RECORDED)


async def embed(endpoint: str, checkpoint: Path) -> None:
    """Run the job."""
    async with AsyncVisionEmbedder(
        endpoint, "k", requests_per_second=None, model_version=MODEL, retry=QUICK
    ) as embedder:
        report = await EmbeddingJob(embedder, RECORDED / "images", checkpoint=checkpoint).run()
    assert (report.embedded, report.failed) == (120, 0)


def neighbours(vectors: dict[str, list[float]]) -> dict[str, list[tuple[str, float]]]:
    """Put all into the order of their cosines, of equal ones the first in the file first.

    A product of two float32 is exact in Python's float, and `fsum` rounds once.
    """
    exact = {
        name: struct.unpack("1024f", struct.pack("1024f", *numbers)) for name, numbers in vectors.items()
    }
    lengths = {name: math.sqrt(math.fsum(map(mul, numbers, numbers))) for name, numbers in exact.items()}
    found = {}
    for name, numbers in exact.items():
        cosines = {
            other: math.fsum(map(mul, numbers, others)) / (lengths[name] * lengths[other])
            for other, others in exact.items()
        }
        found[name] = sorted(cosines.items(), key=lambda pair: -pair[1])  # a stable sort
    return found


def test_each_photograph_has_its_exact_neighbours_for_every_k(photographs: Photographs) -> None:
    """In their order, itself first; none is so near the next that rounding could decide."""
    gallery = Gallery.open(photographs.merged)
    assert gallery.image_files == photographs.names
    for row, (name, expected) in enumerate(photographs.nearest.items()):
        scores = [score for _, score in expected]
        assert min(one - following for one, following in pairwise(scores)) > 1e-12
        own = gallery.embedding(name)
        found = gallery.search(own, k=500)
        assert [match.image_file for match in found] == [other for other, _ in expected]
        assert [match.score for match in found] == pytest.approx(scores, abs=1e-14)
        for k in range(1 + row % 10, 121, 10):  # each k with twelve photographs
            assert gallery.search(own, k=k) == found[:k]
            assert gallery.search(own, k=k, exclude=name) == found[1 : k + 1]


def test_the_command_finds_the_same_for_each_photograph_as_a_file(photographs: Photographs) -> None:
    """Its bytes are sent, its own vector comes back, and it finds itself first, with a score of 1."""
    environment = {"VISION_ENDPOINT": photographs.endpoint, "VISION_KEY": "k"}
    for name, expected in photographs.nearest.items():
        arguments = [str(RECORDED / "images" / name), f"--vectors={photographs.merged}", "-k7", "--json"]
        ran = CliRunner().invoke(cli, ["search", *arguments], env=environment, catch_exceptions=False)
        found = json.loads(ran.stdout)
        assert [each["image_file"] for each in found] == [other for other, _ in expected[:7]]
        assert [each["score"] for each in found] == pytest.approx(
            [score for _, score in expected[:7]], abs=1e-14
        )
        assert (found[0]["image_file"], found[0]["score"]) == (name, pytest.approx(1, abs=1e-14))


SEEN = {
    "forest": "3 93 100 124 141 174 193",
    "city": "11 12 24 25 33 49 51 53 66 83 88 94 98 101 105 119 129 138 139 156 160 161 164 170 182 187",
    "road in the country": "56 191",
    "sea at dusk": "18 34 38 39 65 70 75 85 107 116 133 137 150 151 157",
    "sea by day": "17 20 30 42 43 58 62 67 76 89 102 110 146 147 166 173 188",
    "mountains": (
        "4 7 8 9 13 16 21 26 29 44 48 52 60 61 71 74 79 80 84 97 99 106 111 114 115 120 123 125 128 "
        "132 134 142 143 148 152 155 165 169 175 178 179 183 184 189 192 196 197 198 200"
    ),
}
"""What a person saw in the photographs, by the number in their names; sea-horses and such are left out."""

ELSEWHERE = {
    29: "hills under a red evening sky: nearest to the sea under one",
    76: "a rough sea in the dark of a storm: nearest to the same at dusk",
    157: "and the other way round",
    188: "a surfer in the surf: nearest to the surf at dusk",
    196: "bare trees on a snowy hill: nearest to a wood in autumn",
}
"""The photographs whose nearest is of another kind; a person who looks at both understands why."""


def kinds() -> dict[str, str]:
    """Return what a person saw, by name."""
    return {f"image ({number}).jpg": kind for kind, numbers in SEEN.items() for number in numbers.split()}


def test_the_nearest_photograph_shows_what_a_person_expects(photographs: Photographs) -> None:
    """All but five of 116 are of one kind with their nearest; by chance it would be one in four."""
    seen = kinds()
    gallery = Gallery.open(photographs.merged)
    strangers = set()
    for name, kind in seen.items():
        (nearest,) = gallery.search(gallery.embedding(name), k=1, exclude=name)
        if seen.get(nearest.image_file) != kind:
            strangers.add(name)
    assert len(seen) == 116
    assert strangers == {f"image ({number}).jpg" for number in ELSEWHERE}


def test_neighbours_further_down_mostly_show_the_same(photographs: Photographs) -> None:
    """Of the three nearest, nine in ten are of the query's kind."""
    seen = kinds()
    gallery = Gallery.open(photographs.merged)
    same = [
        seen.get(match.image_file) == kind
        for name, kind in seen.items()
        for match in gallery.search(gallery.embedding(name), k=3, exclude=name)
    ]
    assert sum(same) / len(same) > 0.9
