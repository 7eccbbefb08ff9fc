"""The demo, as a stranger runs it."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(120)
async def test_the_demo_does_the_whole_main_job(tmp_path: Path) -> None:
    """Without an account: cleaned, stopped, resumed, merged, drawn, and told in a few lines."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "semart_vectors", "demo", str(tmp_path / "demo")),
        env={name: value for name, value in os.environ.items() if not name.startswith("VISION_")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0
    assert len(out.decode().splitlines()) < 20
    assert "147/147" in err.decode()
    paintings = pd.read_parquet(tmp_path / "demo" / "paintings.parquet")
    assert len(paintings) == 147
    assert paintings["vector"].map(len).eq(1024).all()
    assert paintings["type"].nunique() == 10
    with Image.open(tmp_path / "demo" / "neighbours.png") as sheet:
        assert min(sheet.size) > 1000
