"""The demo, as a stranger runs it."""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from command_line import cli, end, start

if TYPE_CHECKING:
    from pathlib import Path


async def test_the_demo_does_the_whole_main_job_after_a_ctrl_c_too(tmp_path: Path) -> None:
    """Without an account: cleaned, stopped, resumed, merged, searched, and told in a few lines."""
    demo = await start("demo", "demo", cwd=tmp_path)
    assert demo.stderr is not None
    await demo.stderr.readuntil(b"embedding")  # its first progress bar
    demo.send_signal(signal.SIGINT)
    stopped = await end(demo)
    assert (stopped.code, stopped.err.splitlines()[-1]) == (130, "Interrupted")

    ran = await cli("demo", "demo", cwd=tmp_path)
    assert ran.code == 0
    assert len(ran.out.splitlines()) < 20
    assert "147/147" in ran.err
    paintings = pd.read_parquet(tmp_path / "demo" / "paintings.parquet")
    assert len(paintings) == 147
    assert paintings["vector"].map(len).eq(1024).all()
    assert paintings["type"].nunique() == 10
    with Image.open(tmp_path / "demo" / "neighbours.png") as sheet:
        assert min(sheet.size) > 1000
    await the_commands_that_it_shows_work(ran.out, tmp_path)


async def the_commands_that_it_shows_work(out: str, folder: Path) -> None:
    """Search on by a painting's name, then with the stand-in by a file; its port is a free one here."""
    shown = [shlex.split(line) for line in out.splitlines() if " -m semart_vectors " in line]
    drawn, by_name, emulator, by_file = (words[words.index("semart_vectors") + 1 :] for words in shown)
    assert (by_name[0], by_file[0], emulator[:2]) == ("search", "search", ["emulator", "--port"])
    assert (await cli(*drawn, cwd=folder)).out == "147 paintings drawn on demo/map.html\n"
    assert (await cli(*by_name, cwd=folder)).code == 0
    (folder / "demo" / "search.png").unlink()
    service = await start("emulator", "--port", "0", cwd=folder)
    assert service.stdout is not None
    endpoint = (await service.stdout.readline()).decode().strip()
    searching = await start(*by_file, cwd=folder, env={"VISION_ENDPOINT": endpoint, "VISION_KEY": "any"})
    assert (await end(searching)).code == 0
    assert (folder / "demo" / "search.png").exists()
    service.terminate()
    await end(service)
