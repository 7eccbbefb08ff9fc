"""The command line as a user meets it: exit codes, one clear sentence, processes and signals."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Self

import pandas as pd
import pytest

from command_in_process import cli_here
from command_line import EMBED, cli, embed, end, start
from fake_service import FakeService, Reply, error_reply, good_reply
from helpers import make_images

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Ran


COMMANDS = (
    *("demo", "clean", "embed", "status", "check", "prune", "merge"),
    *("search", "duplicates", "map", "load", "export", "emulator"),
)


def embed_here(cwd: Path, service: FakeService | None, *options: str) -> Ran:
    """Run the embed command on the images in a folder, in this process."""
    return cli_here(*EMBED, *options, cwd=cwd, service=service)


async def test_embed_status_and_merge_from_a_folder_to_one_file(service: FakeService, tmp_path: Path) -> None:
    """Results go to stdout, progress to stderr, and every step ends with 0."""
    images = make_images(tmp_path / "images", 12)
    rows = [f"{name}\ta title" for name in reversed(images)]
    (tmp_path / "meta.csv").write_text("\n".join(["image_file\ttitle", *rows, "missing.jpg\tlost", ""]))
    ran = await embed(tmp_path, service, "--json")
    assert (ran.code, json.loads(ran.out)["embedded"]) == (0, 12)
    assert "12 of 12 done, 0 failed" in ran.err
    ran = await cli("status", "ck", "--json", cwd=tmp_path)
    assert (ran.code, json.loads(ran.out)["done"]) == (0, 12)
    ran = await cli("merge", "meta.csv", "ck", "-o", "all.parquet", cwd=tmp_path)
    assert (ran.code, "12 images" in ran.out, "missing.jpg" in ran.err) == (0, True, True)
    assert pd.read_parquet(tmp_path / "all.parquet")["image_file"].tolist() == list(reversed(images))


def test_some_failed_images_end_with_3_and_are_named(served: FakeService, tmp_path: Path) -> None:
    """The others are done; --retry-failed tries the failed ones again."""
    make_images(tmp_path / "images", 3)
    (tmp_path / "images" / "empty.jpg").write_bytes(b"")
    ran = embed_here(tmp_path, served)
    assert ran.code == 3
    assert "empty.jpg: it is empty" in ran.err
    assert "--retry-failed" in ran.err
    assert embed_here(tmp_path, served, "--retry-failed").code == 3
    assert len(served.calls) == 3


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        (error_reply(401, "Access denied"), 4, "VISION_KEY"),
        (error_reply(403, "Not allowed"), 4, "role"),
        (error_reply(403, "Out of call volume quota."), 5, "quota"),
        (error_reply(404, "Resource not found"), 2, "VISION_ENDPOINT"),
    ],
)
def test_what_concerns_the_run_stops_it_at_once(
    served: FakeService, tmp_path: Path, reply: Reply, code: int, says: str
) -> None:
    """One sentence, the right exit code, few calls, and nothing marked as failed."""
    make_images(tmp_path / "images", 100)
    served.answer = lambda _: reply
    ran = embed_here(tmp_path, served, "--max-in-flight=4")
    assert ran.code == code
    assert says in ran.err.splitlines()[-1]
    assert len(served.calls) <= 8
    assert pd.read_parquet(tmp_path / "ck" / "failures.parquet").empty


def test_another_model_ends_with_6(served: FakeService, tmp_path: Path) -> None:
    """In an answer, and in a checkpoint."""
    make_images(tmp_path / "images", 2)
    assert embed_here(tmp_path, served).code == 0
    ran = embed_here(tmp_path, served, "--model-version=2022-04-11")
    assert (ran.code, "2023-04-15" in ran.err) == (6, True)
    make_images(tmp_path / "images", 3)
    served.answer = lambda call: Reply(body=good_reply(call).body.replace(b"2023-04-15", b"2022-04-11"))
    assert embed_here(tmp_path, served).code == 6


class HeldService(FakeService):
    """Answers nobody until it is released."""

    async def __aenter__(self) -> Self:
        self.asked, self.released = asyncio.Event(), asyncio.Event()
        return await super().__aenter__()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.asked.set()
        await self.released.wait()
        return await super()._answer_one(reader, writer)


async def test_a_second_process_ends_with_7_and_no_call(tmp_path: Path) -> None:
    """The first goes on undisturbed."""
    make_images(tmp_path / "images", 30)
    async with HeldService() as service:
        env = {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"}
        first = await start(*EMBED, cwd=tmp_path, env=env)
        await service.asked.wait()
        second = await embed(tmp_path, service)
        assert (second.code, "another process" in second.err) == (7, True)
        service.released.set()
        assert (await end(first)).code == 0
        assert len(service.calls) == 30


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupting_ends_with_its_code_and_nothing_is_paid_again(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """What is under way is answered and recorded; the same command goes on."""
    images = make_images(tmp_path / "images", 60)
    async with FakeService(latency_s=0.2) as service:
        env = {"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"}
        process = await start(
            "embed", "images", "--checkpoint", "ck", "--requests-per-second=30", cwd=tmp_path, env=env
        )
        await service.calls_reach(15)
        process.send_signal(number)
        ran = await end(process)
        assert (ran.code, "to continue" in ran.err) == (code, True)
        assert (await embed(tmp_path, service)).code == 0
        assert len(service.calls) == len(images)


def test_no_endpoint_is_said_in_one_sentence(tmp_path: Path) -> None:
    """And no checkpoint is made."""
    make_images(tmp_path / "images", 1)
    ran = embed_here(tmp_path, None)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "VISION_ENDPOINT" in ran.err
    assert not (tmp_path / "ck").exists()


def test_a_dotenv_file_in_the_working_directory_is_read(served: FakeService, tmp_path: Path) -> None:
    """Endpoint and key may stand there."""
    make_images(tmp_path / "images", 1)
    (tmp_path / ".env").write_text(f"VISION_ENDPOINT={served.endpoint}/\nVISION_KEY='from a file'\n")
    assert embed_here(tmp_path, None).code == 0
    assert served.calls[0].headers["ocp-apim-subscription-key"] == "from a file"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["embed", "nowhere", "--checkpoint", "ck"], "nowhere"),
        (["embed", "images", "--checkpoint", "ck", "--metadata", "no.csv"], "no.csv"),
        (["clean", "nowhere", "-o", "x.parquet"], "nowhere"),
        (["merge", "bad.csv", "ck", "-o", "x.parquet"], "image_file"),
        (["clean", "images"], "--output"),
        (["embed", "images", "--checkpoint", "ck", "--requests-per-second=0"], "requests-per-second"),
        (["fly"], "fly"),
    ],
)
def test_unusable_arguments_end_with_2_and_say_which(
    served: FakeService, tmp_path: Path, arguments: list[str], says: str
) -> None:
    """The sentence names what is wrong."""
    make_images(tmp_path / "images", 1)
    (tmp_path / "bad.csv").write_text("name\ttitle\na\tb\n")
    ran = cli_here(*arguments, cwd=tmp_path, service=served)
    assert (ran.code, says in ran.err) == (2, True)
    assert not served.calls


def test_a_dry_run_says_what_there_is_to_do(served: FakeService, tmp_path: Path) -> None:
    """It needs no key, makes no call, and leaves nothing behind."""
    make_images(tmp_path / "images", 30)
    ran = cli_here("embed", "images", "--checkpoint", "ck", "--dry-run", cwd=tmp_path)
    assert ran.code == 0
    assert "30 to do" in ran.out
    assert not (tmp_path / "ck").exists()
    assert not served.calls


def test_a_disk_that_refuses_ends_with_8(served: FakeService, tmp_path: Path) -> None:
    """A checkpoint that cannot be made is noticed before the first call."""
    make_images(tmp_path / "images", 3)
    ran = cli_here("embed", "images", "--checkpoint", "/proc/ck", cwd=tmp_path, service=served)
    assert (ran.code, served.calls) == (8, [])
    assert "cannot write /proc/ck" in ran.err


async def test_help_names_every_command(tmp_path: Path) -> None:
    """In the order in which a newcomer needs them."""
    ran = await cli("--help", cwd=tmp_path)
    named = [line.split()[0] for line in ran.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert named == [*COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(tmp_path: Path, command: str) -> None:
    """Also those that need an extra."""
    ran = cli_here(command, "--help", cwd=tmp_path)
    assert (ran.code, f" {command} [OPTIONS]" in ran.out.splitlines()[0]) == (0, True)


def test_a_damaged_checkpoint_ends_a_check_with_6_and_costs_the_next_run_what_was_hit(
    served: FakeService, tmp_path: Path
) -> None:
    """Every command that meets it says so; a repair makes no call, the next run does those images again."""
    for first in (0, 5):
        make_images(tmp_path / "images", 5, first=first)
        embed_here(tmp_path, served)
    ran = cli_here("check", "ck", cwd=tmp_path)
    assert (ran.code, "10 vectors: no damage" in ran.out) == (0, True)
    part = tmp_path / "ck" / "vectors" / "part-000002.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    (tmp_path / "meta.csv").write_text("image_file\n00000-image.jpg\n")
    for command in (["check", "ck"], ["status", "ck"], ["merge", "meta.csv", "ck", "-o", "all.parquet"]):
        ran = cli_here(*command, cwd=tmp_path)
        assert (ran.code, "part-000002.parquet" in ran.err, "check --repair" in ran.err) == (6, True, True)
    ran = cli_here("check", "ck", "--repair", "--json", cwd=tmp_path)
    assert (ran.code, len(json.loads(ran.out)["damaged"])) == (0, 1)
    assert cli_here("check", "ck", cwd=tmp_path).code == 0
    ran = embed_here(tmp_path, served, "--json")
    assert (ran.code, json.loads(ran.out)["calls"], len(served.paid)) == (0, 5, 15)


def test_a_service_that_stays_down_ends_with_1_and_the_same_command_goes_on(
    served: FakeService, tmp_path: Path
) -> None:
    """Nothing is marked as failed."""
    make_images(tmp_path / "images", 40)
    served.answer = lambda _: error_reply(503)
    ran = embed_here(tmp_path, served, "--outage-limit", "0")
    assert (ran.code, "run again when it is back" in ran.err) == (1, True)
    served.answer = good_reply
    assert embed_here(tmp_path, served).code == 0


async def test_a_name_cannot_speak_to_the_terminal(service: FakeService, tmp_path: Path) -> None:
    """Escapes and line ends of a file's name are shown, not sent."""
    make_images(tmp_path / "images", 1)
    (tmp_path / "images" / "a\x1b[31m\nError: fake.jpg").write_bytes(b"")
    ran = await embed(tmp_path, service)
    assert ran.code == 3
    assert "a\\x1b[31m\\nError: fake.jpg" in ran.err


def test_a_dotenv_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    """And is not looked at when the environment says it all."""
    make_images(tmp_path / "images", 1)
    (tmp_path / ".env").write_bytes("VISION_KEY=x".encode("utf-16"))
    ran = embed_here(tmp_path, None)
    assert (ran.code, ".env" in ran.err) == (2, True)


async def test_who_stops_reading_changes_nothing(service: FakeService, tmp_path: Path) -> None:
    """A closed pipe is no failure of a job that is done."""
    make_images(tmp_path / "images", 2)
    process = await start(
        *("embed", "images", "--checkpoint", "ck"),
        cwd=tmp_path,
        env={"VISION_ENDPOINT": service.endpoint, "VISION_KEY": "k"},
    )
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined] # the pipe's reader goes away
    assert process.stderr is not None
    await process.stderr.read()
    assert await process.wait() == 0


def test_the_demo_touches_no_folder_of_somebody_else(tmp_path: Path) -> None:
    """A checkpoint that cost money stays where it is."""
    (tmp_path / "embeddings").mkdir()
    ran = cli_here("demo", ".", cwd=tmp_path)
    assert (ran.code, "already holds other files" in ran.err) == (2, True)
    assert (tmp_path / "embeddings").is_dir()


@pytest.mark.parametrize("rate", ["nan", "inf", "-1", "1e-320"])
def test_a_rate_is_a_number_of_this_world(tmp_path: Path, rate: str) -> None:
    """Also for a dry run."""
    ran = cli_here(
        *("embed", ".", "--checkpoint", "ck", "--dry-run", f"--requests-per-second={rate}"), cwd=tmp_path
    )
    assert ran.code == 2


def test_the_images_folder_is_found_in_either_spelling(served: FakeService, tmp_path: Path) -> None:
    """The archive says Images, the tutorial images."""
    make_images(tmp_path / "Images", 1)
    ran = embed_here(tmp_path, served)
    assert (ran.code, len(served.calls)) == (0, 1)


def test_a_longest_side_is_for_images_that_are_repaired(served: FakeService, tmp_path: Path) -> None:
    """Alone it would promise what is not done; with --repair-images it is recorded what was."""
    make_images(tmp_path / "images", 2)
    ran = embed_here(tmp_path, served, "--max-side=16")
    assert (ran.code, "works only with --repair-images" in ran.err) == (2, True)
    assert embed_here(tmp_path, served, "--max-side=16000", "--repair-images").code == 2
    assert embed_here(tmp_path, served, "--max-side=16", "--repair-images").code == 0
    table = pd.read_parquet(tmp_path / "ck" / "vectors")
    assert table["repairs"].tolist() == ["scaled to 16 x 16"] * 2
