"""What several benchmarks share: pictures, a folder of them, options, and facts about the machine."""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MODEL = "2023-04-15"
ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("aiohttp", "httpx", "httpx2", "numpy", "orjson", "pyarrow", "requests")


def make_pictures(count: int = 500) -> list[bytes]:
    """Return different photograph-like JPEGs of about 15 kB."""
    pictures = []
    for number in range(count):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((320, 240), Image.Resampling.BICUBIC), dtype=np.int16)
        noisy = np.clip(smooth + random.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(noisy).save(file, "JPEG", quality=76)
        pictures.append(file.getvalue())
    return pictures


def write_pictures(folder: Path, count: int) -> None:
    """Write pictures that all differ: those of `make_pictures` in turn, each with another comment."""
    folder.mkdir()
    pictures = itertools.cycle(make_pictures(min(count, 500)))
    for number, picture in zip(range(count), pictures, strict=False):
        comment = b"\xff\xfe\x00\x0a%08d" % number
        (folder / f"{number:08}.jpg").write_bytes(picture[:2] + comment + picture[2:])


def real_like_vectors(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return vectors like the service's: exact in float16, of length about 92."""
    numbers = np.random.default_rng(0).normal(size=(count, 1024)) * 92 / np.sqrt(1024)
    vectors: np.ndarray[Any, np.dtype[np.float32]] = numbers.astype(np.float16).astype(np.float32)
    return vectors


def answer_with(vector: np.ndarray[Any, np.dtype[np.float32]]) -> bytes:
    """Return the service's answer: compact JSON of about 10.8 kB, its numbers as short as float32 allows."""
    return json.dumps(
        {"modelVersion": MODEL, "vector": [float(str(number)) for number in vector]}, separators=(",", ":")
    ).encode()


def machine() -> dict[str, Any]:
    """Return what the figures depend on: the machine, Python and the libraries."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def options_parser(documentation: str | None) -> argparse.ArgumentParser:
    """Make a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shorter and rougher")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results to")
    return parser


def write_results(results: object, path: Path | None) -> None:
    """Write results to a file, or to stdout if none is given."""
    text = json.dumps(results, indent=1) + "\n"
    if path:
        path.write_text(text)
    else:
        print(text, end="")
