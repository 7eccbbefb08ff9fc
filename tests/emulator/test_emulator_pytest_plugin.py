"""The fixture for other projects, and clients that know nothing of this one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from helpers import jpeg

if TYPE_CHECKING:
    from semart_vectors.emulator import Emulator

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
QUERY = "api-version=2024-02-01&model-version=2023-04-15"

ANOTHER_PROJECTS_TEST = """
import pytest, requests

@pytest.mark.vision_emulator(key="right", tier="F0")
def test_it(vision_emulator):
    url = vision_emulator.endpoint + "/computervision/retrieval:vectorizeText?%s"
    for key, status in (("wrong", 401), ("right", 200)):
        headers = {"Ocp-Apim-Subscription-Key": key}
        assert requests.post(url, headers=headers, json={"text": "a ship"}).status_code == status
    assert [call.status for call in vision_emulator.calls] == [401, 200]
"""


def run(command: list[str | Path], emulator: Emulator, folder: Path) -> str:
    """Run a client with an endpoint, a key and an image, and return what it prints."""
    image = folder / "a.jpg"
    image.write_bytes(jpeg(1))
    arguments = [*command, emulator.endpoint, "key", image]
    ran = subprocess.run(arguments, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_another_projects_blocking_test_uses_the_fixture(pytester: pytest.Pytester) -> None:
    """One line in its conftest.py, a mark for the settings, and any client."""
    pytester.makeconftest('pytest_plugins = ["semart_vectors.emulator.pytest_plugin"]')
    pytester.makepyfile(ANOTHER_PROJECTS_TEST % QUERY)
    ran = pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio", "--strict-markers")
    ran.assert_outcomes(passed=1)


def test_the_tutorials_own_request_works_unchanged(vision_emulator: Emulator, tmp_path: Path) -> None:
    """A plain HTTP client, which knows nothing of ours, gets a vector."""
    told = run([sys.executable, EXAMPLES / "tutorial_request.py"], vision_emulator, tmp_path)
    assert "1024 numbers" in told


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_works_unchanged(vision_emulator: Emulator, tmp_path: Path) -> None:
    """An image and a text, from the shell."""
    told = run(["/bin/sh", EXAMPLES / "curl.sh"], vision_emulator, tmp_path)
    answers = [json.loads(line) for line in told.splitlines()]
    assert [len(answer["vector"]) for answer in answers] == [1024, 1024]


@pytest.mark.vision_emulator(vector_first=True)
def test_the_order_of_an_answers_members_is_to_be_had_both_ways(vision_emulator: Emulator) -> None:
    """The documentation shows both; the vector is the same."""
    answer = requests.post(
        f"{vision_emulator.endpoint}/computervision/retrieval:vectorizeImage?{QUERY}",
        headers={"Ocp-Apim-Subscription-Key": "key", "Content-Type": "application/octet-stream"},
        data=jpeg(1),
        timeout=60,
    )
    assert list(answer.json()) == ["vector", "modelVersion"]
    assert answer.json()["modelVersion"] == "2023-04-15"
