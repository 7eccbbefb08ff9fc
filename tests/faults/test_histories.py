"""Random histories of a collection and its checkpoint, against a dict."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx
import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from fake_service import MODEL, vector_for
from helpers import QUICK, jpeg
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob, check_checkpoint, merge_vectors
from semart_vectors.checkpoint.store import Checkpoint, Done
from semart_vectors.pipeline.recorder import OutcomeRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from scorecard import Extent

IN_FLIGHT = 4
NAMES = st.sampled_from([f"{letter}.jpg" for letter in "abcdefgh"] + ["caf\xe9/\u2603 \n.jpg", "x/a.jpg"])
CONTENTS = st.integers(0, 12).map(jpeg)


class Histories(RuleBasedStateMachine):
    """What a collection and its checkpoint go through; `known` is what the checkpoint must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="histories-"))
        (self.folder / "images").mkdir()
        self.known: dict[str, bytes] = {}
        self.paid: Counter[bytes] = Counter()
        self.refusals: list[int] = []

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder)

    @property
    def checkpoint(self) -> Path:
        """Where what is done is recorded."""
        return self.folder / "ck"

    def images(self) -> dict[str, bytes]:
        """Read the collection as it is."""
        root = self.folder / "images"
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")}

    @rule(name=NAMES, content=CONTENTS)
    def put_an_image(self, name: str, content: bytes) -> None:
        """A new one, or another content under a name that is there."""
        path = self.folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @rule(name=NAMES, other=NAMES)
    def rename_an_image(self, name: str, other: str) -> None:
        """Over another, as it may be."""
        path, place = self.folder / "images" / name, self.folder / "images" / other
        if path.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)

    @rule(statuses=st.lists(st.sampled_from([429, 500, 503]), max_size=3))
    def let_the_service_refuse(self, statuses: list[int]) -> None:
        """The next calls, once each."""
        self.refusals = statuses

    @rule()
    def run_to_the_end(self) -> None:
        """Every image has its vector, and nothing was paid for that was known."""
        before, images = self.paid.copy(), self.images()
        asyncio.run(self._run())
        paid = self.paid - before
        unknown = set(images.values()) - set(self.known.values())
        assert paid <= Counter(unknown)
        assert unknown - set(paid) <= set(before)  # what was replaced is known for a run longer
        self.known |= images
        self._compare()

    @rule(calls=st.integers(1, 6))
    def run_until_killed(self, calls: int) -> None:
        """What was recorded is there; of the rest, no more is paid again than was under way."""
        recorded: dict[str, bytes] = {}
        before, images = self.paid.copy(), self.images()
        record, was_known = Checkpoint.record, dict(self.known)

        def remember(checkpoint: Checkpoint, entries: list[Any]) -> None:
            record(checkpoint, entries)
            recorded.update((entry.image_file, b"") for entry in entries if isinstance(entry, Done))

        async def die(_: OutcomeRecorder) -> None:
            """A killed process records no more."""

        with (
            mock.patch.object(Checkpoint, "record", remember),
            mock.patch.object(Checkpoint, "close", lambda checkpoint: checkpoint._closing.close()),
            mock.patch.object(OutcomeRecorder, "finish", die),
            suppress(asyncio.CancelledError),
        ):
            asyncio.run(self._run(kill_after=calls))
        with Checkpoint.open(self.checkpoint, model_version=MODEL):
            pass
        left = self._read()
        assert set(recorded) | set(was_known) == set(left)
        for name, vector in left.items():
            content = next(c for c in (images.get(name), was_known.get(name)) if c and _is_of(vector, c))
            self.known[name] = content
        paid = self.paid - before
        assert not [content for content, times in paid.items() if times > 1 or content in was_known.values()]
        self._compare()

    @precondition(lambda self: self.checkpoint.exists())
    @rule(
        where=st.floats(0, 1, exclude_max=True),
        which=st.integers(0),
        cut=st.booleans(),
        bit=st.integers(0, 7),
    )
    def damage_a_file(self, where: float, which: int, bit: int, *, cut: bool) -> None:
        """It is told, and costs nothing but what it held."""
        files = sorted(path for path in self.checkpoint.rglob("*") if path.is_file() and path.stat().st_size)
        files = [path for path in files if path.parent.name != "_damaged"]
        path = files[which % len(files)]
        held = set(pd.read_parquet(path)["image_file"]) if path.parent.name == "vectors" else set()
        content = bytearray(path.read_bytes())
        place = int(where * len(content))
        content[place] ^= 1 << bit
        path.write_bytes(content[:place] if cut else content)
        assert check_checkpoint(self.checkpoint, repair=True).damaged
        left = self._read()
        assert set(self.known) - held <= set(left)
        self.known = {name: content for name, content in self.known.items() if name in left}
        self._compare()

    @precondition(lambda self: self.known)
    @rule()
    def merge(self) -> None:
        """Each name with its own vector, in the metadata's order."""
        names = sorted(self.known, reverse=True)
        merge_vectors(
            pd.DataFrame({"image_file": [*names, "none.jpg"]}), self.checkpoint, self.folder / "all.parquet"
        )
        table = pd.read_parquet(self.folder / "all.parquet")
        assert table["image_file"].tolist() == names
        assert all(
            _is_of(vector, self.known[name]) for name, vector in zip(names, table["vector"], strict=True)
        )

    def _compare(self) -> None:
        left = self._read()
        assert set(left) == set(self.known)
        assert all(_is_of(vector, self.known[name]) for name, vector in left.items())

    def _read(self) -> dict[str, Any]:
        table = pd.read_parquet(self.checkpoint / "vectors")
        assert table["image_file"].is_unique
        return dict(zip(table["image_file"], table["vector"], strict=True))

    async def _run(self, *, kill_after: int | None = None) -> None:
        answered = 0
        running = asyncio.current_task()
        assert running is not None

        async def answer(request: httpx.Request) -> httpx.Response:
            nonlocal answered
            if self.refusals:
                return httpx.Response(self.refusals.pop())
            body = request.content
            self.paid[body] += 1
            answered += 1
            if answered == kill_after:
                running.cancel()
            return httpx.Response(
                200, content=orjson.dumps({"modelVersion": MODEL, "vector": vector_for(body).tolist()})
            )

        async with (
            httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client,
            AsyncVisionEmbedder(
                "https://x.test",
                "k",
                requests_per_second=None,
                max_in_flight=IN_FLIGHT,
                retry=QUICK,
                http_client=client,
            ) as embedder,
        ):
            job = EmbeddingJob(embedder, self.folder / "images", checkpoint=self.checkpoint, progress=False)
            await job.run()


def _is_of(vector: Any, content: bytes) -> bool:
    return np.array_equal(vector, vector_for(content))


@pytest.mark.row(27)
@pytest.mark.timeout(3600)
def test_a_checkpoint_is_as_good_as_a_dict(extent: Extent, score: Callable[[str], None]) -> None:
    """Whatever the order of runs, kills, damage, refusals, changes, renames and merges."""
    histories = extent.pick(quick=12, all=200)
    steps = extent.pick(quick=12, all=30)
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    score(f"{histories} histories of up to {steps} steps, 0 failures")
