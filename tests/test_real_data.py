"""Real photographs, real vectors, real tables; skipped where they are absent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from fake_service import Call, FakeService, Reply
from helpers import QUICK, SHARED_DATA
from semart_vectors import AsyncVisionEmbedder, EmbeddingJob

if TYPE_CHECKING:
    from pathlib import Path

PHOTOGRAPHS = SHARED_DATA / "azure_vectors" / "images"
MODEL = "2022-04-11"

pytestmark = pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(), reason="the real photographs are not part of the project"
)


async def test_real_photographs_get_their_real_vectors_bit_for_bit(tmp_path: Path) -> None:
    """Through a service that replays what the real one answered, into the checkpoint and out of it."""
    recorded = json.loads((SHARED_DATA / "azure_vectors" / "vectors.json").read_text())
    by_content = {(PHOTOGRAPHS / name).read_bytes(): vector for name, vector in recorded.items()}

    def replay(call: Call) -> Reply:
        return Reply(body=json.dumps({"vector": by_content[call.body], "modelVersion": MODEL}).encode())

    async with (
        FakeService(replay) as service,
        AsyncVisionEmbedder(
            service.endpoint, "k", requests_per_second=None, model_version=MODEL, retry=QUICK
        ) as embedder,
    ):
        report = await EmbeddingJob(embedder, PHOTOGRAPHS, checkpoint=tmp_path / "ck").run()
    assert (report.embedded, report.failed, report.calls) == (120, 0, 120)
    table = pd.read_parquet(tmp_path / "ck" / "vectors").set_index("image_file")
    for name, vector in recorded.items():
        np.testing.assert_array_equal(table.loc[name, "vector"], np.array(vector, dtype=np.float32))
    size_bytes = sum(part.stat().st_size for part in (tmp_path / "ck" / "vectors").iterdir())
    assert size_bytes / 120 <= 1950
