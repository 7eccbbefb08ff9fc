"""The demo, as a stranger runs it."""

from __future__ import annotations

import asyncio
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from command_in_process import cli_here
from command_line import cli, end, start

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Ran


def test_the_demo_does_the_whole_main_job_after_a_ctrl_c_too(tmp_path: Path) -> None:
    """Without an account: cleaned, stopped, resumed, merged, searched, and told in a few lines."""
    stopped = asyncio.run(stopped_demo(tmp_path))
    assert (stopped.code, stopped.err.splitlines()[-1]) == (130, "Interrupted")

    ran = asyncio.run(cli("demo", "demo", cwd=tmp_path))
    assert ran.code == 0
    assert len(ran.out.splitlines()) < 20
    assert "147 of 147 done, 0 failed" in ran.err
    paintings = pd.read_parquet(tmp_path / "demo" / "paintings.parquet")
    assert len(paintings) == 147
    assert paintings["vector"].map(len).eq(1024).all()
    assert paintings["type"].nunique() == 10
    with Image.open(tmp_path / "demo" / "neighbours.png") as sheet:
        assert min(sheet.size) > 1000
    the_commands_that_it_shows_work(ran.out, tmp_path)


async def stopped_demo(folder: Path) -> Ran:
    """Start the demo, and stop it by Ctrl-C when it embeds."""
    demo = await start("demo", "demo", cwd=folder)
    assert demo.stderr is not None
    await demo.stderr.readuntil(b"embedding")  # its first progress
    demo.send_signal(signal.SIGINT)
    return await end(demo)


def the_commands_that_it_shows_work(out: str, folder: Path) -> None:
    """Search on by a painting's name, then with the emulator by a file; its port is a free one here."""
    shown = [shlex.split(line) for line in out.splitlines() if " -m semart_vectors " in line]
    drawn, by_name, emulator, by_file = (words[words.index("semart_vectors") + 1 :] for words in shown)
    assert (by_name[0], by_file[0], emulator[:2]) == ("search", "search", ["emulator", "--port"])
    assert cli_here(*drawn, cwd=folder).out == "147 images drawn on demo/map.html\n"
    assert cli_here(*by_name, cwd=folder).code == 0
    (folder / "demo" / "search.png").unlink()
    command = [sys.executable, "-m", "semart_vectors", "emulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        endpoint = service.stdout.readline().strip()
        assert cli_here(*by_file, cwd=folder, endpoint=endpoint).code == 0
        service.terminate()
    assert (folder / "demo" / "search.png").exists()
