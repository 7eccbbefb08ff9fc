"""The request of the tutorial, with plain `httpx` and without this package: one image, one vector.

    python examples/tutorial_request.py ENDPOINT KEY IMAGE

It works with the service and with the emulator. Only the API version is newer: the tutorial's was retired.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx


def vectorize_image(endpoint: str, key: str, image: Path) -> list[float]:
    """Return the vector of an image."""
    answer = httpx.post(
        f"{endpoint}/computervision/retrieval:vectorizeImage",
        params={"api-version": "2024-02-01", "model-version": "2023-04-15"},
        headers={"Content-type": "application/octet-stream", "Ocp-Apim-Subscription-Key": key},
        content=image.read_bytes(),
        timeout=60,
    )
    answer.raise_for_status()
    vector: list[float] = answer.json()["vector"]
    return vector


if __name__ == "__main__":
    found = vectorize_image(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    print(f"{len(found)} numbers: {found[:3]} …")
