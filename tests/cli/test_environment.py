"""Endpoint and key: from the environment first, and from .env where they are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from semart_vectors.cli.environment import environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a .env file into the working directory."""
    (tmp_path / ".env").write_text("VISION_ENDPOINT=file\nVISION_KEY=file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISION_ENDPOINT", raising=False)
    monkeypatch.delenv("VISION_KEY", raising=False)


@pytest.mark.parametrize("name", ["VISION_ENDPOINT", "VISION_KEY"])
def test_what_is_set_is_not_overridden(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The file adds the other one."""
    monkeypatch.setenv(name, "shell")
    found = environment()
    assert {found["VISION_ENDPOINT"], found["VISION_KEY"]} == {"shell", "file"}
    assert found[name] == "shell"


def test_the_file_is_not_read_when_both_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it may be anything."""
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("VISION_ENDPOINT", "shell")
    monkeypatch.setenv("VISION_KEY", "shell")
    assert environment()["VISION_KEY"] == "shell"
