"""How close a job runs to a rate limit, and how often it is refused.

    python benchmarks/rate.py [--requests-per-second 20] [--latency-s 0.2] [--images 120] [--runs 3]

Runs the command line twice on generated images against the emulator, a process of its own with an exact
sliding window, and prints the time against the ideal, (images - 1) / rate + latency. Only the ratio and the
counts mean anything: the time includes starting Python.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "semart_vectors"]


@contextmanager
def emulator(*options: str) -> Iterator[str]:
    """Run the emulator, and yield its endpoint."""
    with subprocess.Popen([*COMMAND, "emulator", *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def make_images(folder: Path, count: int) -> None:
    """Write different small pictures."""
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg")


def embed(images: Path, checkpoint: Path, endpoint: str, rate: float) -> dict[str, Any]:
    """Run the job, and return its report."""
    done = subprocess.run(
        [*COMMAND, "embed", images, "--checkpoint", checkpoint, f"--requests-per-second={rate}", "--json"],
        env={**os.environ, "VISION_ENDPOINT": endpoint, "VISION_KEY": "any"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests-per-second", type=float, default=20)
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rate = options.requests_per_second
    ideal_s = (options.images - 1) / rate + options.latency_s
    print(f"{options.images} images at {rate:g}/s, {options.latency_s:g} s of latency: ideal {ideal_s:.2f} s")
    for _ in range(options.runs):
        limits = (f"--requests-per-second={rate}", f"--latency-s={options.latency_s}")
        with tempfile.TemporaryDirectory() as temporary, emulator(*limits) as endpoint:
            images, checkpoint = Path(temporary, "images"), Path(temporary, "checkpoint")
            images.mkdir()
            make_images(images, options.images)
            first = embed(images, checkpoint, endpoint, rate)
            second = embed(images, checkpoint, endpoint, rate)
            with urllib.request.urlopen(f"{endpoint}/calls") as answer:
                statuses = json.load(answer)["by_status"]
        print(
            f"{first['elapsed_s']:.2f} s, {first['elapsed_s'] / ideal_s:.3f} x the ideal; "
            f"answers {statuses}; second run {second['calls']} calls"
        )


if __name__ == "__main__":
    main()
