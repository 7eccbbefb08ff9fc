"""Searching a real PostgreSQL with pgvector: as in a file, whatever the index, and nothing is written."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest

from command_line import cli
from merged import MODEL, NAMES, merged, query, table_of, vectors_of
from postgres_server import PASSWORD, Server, postgres_server
from postgres_tables import BY_INDEX, ask, stored
from semart_vectors.errors import ConfigurationError, DatabaseError, SemartVectorsError
from semart_vectors.gallery import Gallery
from semart_vectors.postgres import PostgresGallery, load_vectors, search as search_module
from transaction_pooler import transaction_pooler

if TYPE_CHECKING:
    from pathlib import Path

    from fake_service import FakeService


NO_CONDITIONS = (
    "painter = 'x'",
    "year = 'x'",
    "year =",
    "TRUE); DROP TABLE paintings; --",
    "TRUE); COMMIT; DROP TABLE paintings; --",
)


def test_a_painting_s_own_vector_is_found_by_its_name(url: str, tmp_path: Path) -> None:
    """Bit for bit, to search with; a name that is not there is a KeyError, as in the gallery."""
    vectors = vectors_of(3)
    load_vectors(merged(tmp_path, vectors), url)
    with PostgresGallery.open(url) as gallery:
        found = gallery.embedding(NAMES[1])
        assert (found.vector.tobytes(), found.model_version) == (vectors[1].tobytes(), MODEL)
        assert gallery.metadata(NAMES[1]) == gallery.search(found, k=1)[0].metadata
        assert gallery.metadata(NAMES[1])["year"] == 1601
        for name in ("missing.jpg", "a\0b"):
            for look_up in (gallery.embedding, gallery.metadata):
                with pytest.raises(KeyError):
                    look_up(name)


def test_an_empty_table_is_said_to_be_empty(url: str, tmp_path: Path) -> None:
    """It has no model yet that a query could be of."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    ask(url, "DELETE FROM paintings")
    with pytest.raises(DatabaseError, match="paintings is empty: fill it with"):
        PostgresGallery.open(url)


@pytest.mark.parametrize("index", [None, "hnsw", "ivfflat"])
def test_the_search_agrees_with_the_gallery_s(
    url: str,
    tmp_path: Path,
    index: Any,
) -> None:
    """The same paintings, scores and columns, with an index too where it looks far enough."""
    names = [f"{number:03}.jpg" for number in range(200)]
    vectors = np.random.default_rng(7).normal(size=(200, 1024)).astype(np.float32)
    path = merged(tmp_path, vectors, table=table_of(names))
    load_vectors(path, url, index=index)
    wanted = query(vectors[17])
    expected = Gallery.open(path).search(wanted, k=60, exclude="017.jpg")
    for exact in (False, True):
        with PostgresGallery.open(url + BY_INDEX) as gallery:
            found = gallery.search(wanted, k=60, exclude="017.jpg", exact=exact, ef_search=400, probes=1)
        assert [match.image_file for match in found] == [match.image_file for match in expected]
        assert [match.metadata for match in found] == [match.metadata for match in expected]
        np.testing.assert_allclose(
            [match.score for match in found], [match.score for match in expected], atol=1e-6
        )


def test_threads_take_turns(url: str, tmp_path: Path) -> None:
    """On the one connection of a gallery, and each gets its own answer."""
    vectors = vectors_of(6)
    load_vectors(merged(tmp_path, vectors), url)
    with PostgresGallery.open(url) as gallery, ThreadPoolExecutor(6) as threads:

        def nearest(row: int) -> str:
            return gallery.search(gallery.embedding(NAMES[row]), k=1)[0].image_file

        assert list(threads.map(nearest, [*range(6)] * 20)) == NAMES * 20


def test_a_server_that_says_nothing_is_left(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not even say that the time is up: the connection is ended here, and the work not done twice."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    monkeypatch.setattr(search_module, "_GRACE_S", 0.1)
    with PostgresGallery.open(url, timeout_s=0.1) as gallery:
        monkeypatch.setattr(search_module, "_ms", lambda _: "0")  # a server that counts no time
        with pytest.raises(DatabaseError, match="did not answer in time"):
            gallery.count("pg_sleep(60) IS NOT NULL")
        monkeypatch.undo()
        assert gallery.count() == 2


def test_a_connection_that_was_lost_is_opened_again(server: Server, url: str, tmp_path: Path) -> None:
    """Ended by the server, or silent since it was forgotten on the way; threads notice nothing."""
    load_vectors(merged(tmp_path, vectors_of(6)), url)
    others = "FROM pg_stat_activity WHERE datname = 'paintings'"
    with PostgresGallery.open(url) as gallery, ThreadPoolExecutor(6) as threads:
        for _ in range(3):
            server.ask(f"SELECT pg_terminate_backend(pid) {others}")
            assert list(threads.map(lambda name: gallery.embedding(name).source, NAMES)) == NAMES
    with pytest.raises(DatabaseError, match="closed: open it again"):
        gallery.count()


def test_a_connection_that_was_forgotten_is_opened_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall drops an idle one without a word: what takes no time is not answered."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    with PostgresGallery.open(url) as gallery:
        process = gallery._connection.info.backend_pid
        monkeypatch.setattr(search_module, "_GRACE_S", 0.3)
        os.kill(process, signal.SIGSTOP)
        try:
            assert gallery.count() == 2
            assert gallery._connection.info.backend_pid != process
        finally:
            os.kill(process, signal.SIGCONT)


def test_a_database_that_stays_away_is_said_to_be(tmp_path: Path) -> None:
    """With what to do, and without the password; a search after it has come back finds it."""
    with postgres_server() as server:
        load_vectors(merged(tmp_path, vectors_of(2)), server.url())
        gallery = PostgresGallery.open(server.url())
    with gallery, pytest.raises(DatabaseError, match="start the server") as raised:
        gallery.count()
    assert PASSWORD not in str(raised.value)


def test_a_session_is_nobody_s(url: str, tmp_path: Path) -> None:
    """A pooler gives each transaction another one: all works, and nothing stays in it for other programs."""
    path = merged(tmp_path, vectors_of(6))
    told = "SELECT name, setting FROM pg_settings WHERE source = 'session' UNION SELECT name, '' FROM "
    told += "pg_prepared_statements UNION SELECT 'lock', '' FROM pg_locks WHERE locktype = 'advisory'"
    with transaction_pooler(url) as pooled:

        def left_behind() -> list[Any]:
            with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as other:
                return [other.execute(told.encode()).fetchall() for _ in range(2)]

        before = left_behind()
        for _ in range(2):
            load_vectors(path, pooled, index="hnsw")
        with PostgresGallery.open(pooled, timeout_s=7) as gallery, PostgresGallery.open(pooled) as second:
            for _ in range(8):
                for each in (gallery, second):
                    found = each.search(each.embedding(NAMES[3]), k=2, where="year > 0", ef_search=50)
                    assert found[0].image_file == NAMES[3]
            with pytest.raises(ConfigurationError, match=r"hnsw\.ef_search"):
                gallery.search(query(vectors_of(1)[0]), ef_search=0)
        assert left_behind() == before


def test_pgvector_may_be_in_a_schema_of_its_own(url: str, tmp_path: Path) -> None:
    """That is not searched for names, as hosted databases have it."""
    ask(url, "CREATE SCHEMA extensions")
    ask(url, "CREATE EXTENSION vector SCHEMA extensions")
    for half in (False, True):
        path = merged(tmp_path, np.eye(3, 1024, dtype=np.float32))
        for replace in (True, False):
            report = load_vectors(path, url, half=half, index="hnsw", replace=replace)
        assert report.unchanged == 3
        with PostgresGallery.open(url) as gallery:
            assert gallery.search(gallery.embedding(NAMES[1]), k=1)[0].image_file == NAMES[1]


@pytest.mark.parametrize("kind", ["vector", "halfvec"])
@pytest.mark.parametrize("index", ["hnsw", "ivfflat"])
def test_an_index_is_of_the_cosine_and_is_used(url: str, tmp_path: Path, index: Any, kind: str) -> None:
    """One of another distance, or of some rows, is not taken for it."""
    path, half = merged(tmp_path, np.eye(6, 1024, dtype=np.float32)), kind == "halfvec"
    load_vectors(path, url, half=half)
    ask(url, f"CREATE INDEX ON paintings USING {index} (vector {kind}_l2_ops)")
    ask(url, f"CREATE INDEX ON paintings USING {index} (vector {kind}_cosine_ops) WHERE year > 1602")
    for _ in range(2):
        load_vectors(path, url, half=half, index=index)
    assert len(ask(url, "SELECT 1 FROM pg_index WHERE indrelid = 'paintings'::regclass")) == 4
    with PostgresGallery.open(url + BY_INDEX) as gallery:
        assert gallery.search(query(np.eye(6, 1024, dtype=np.float32)[2]), k=1)[0].image_file == NAMES[2]
        # What a server has counted is seen by others only later, unless its session is told to hand it over.
        gallery._connection.execute("SELECT pg_stat_force_next_flush()")
    used = ask(url, "SELECT indexrelid::regclass::text FROM pg_stat_user_indexes WHERE idx_scan > 0")
    assert [name for (name,) in used if "vector" in name] == ["paintings_vector_idx2"]


def test_a_column_may_be_called_as_anything(url: str, tmp_path: Path) -> None:
    """As what a search computes, as its parameters, as words of SQL, with any sign; a table too."""
    columns = [
        "distance",
        "nearest",
        "k",
        "query",
        "exclude",
        "all",
        "name",
        "select",
        "Image_File",
        "VECTOR",
    ]
    columns += [
        "100 %",
        "%s",
        "%(k)s",
        "{table}",
        '"',
        "a'b",
        "a.b",
        "Größe 絵",
        " ",
        "--",
        "here",
        "excluded",
    ]
    table = table_of(NAMES[:2]).assign(**{name: [1, 2] for name in columns})
    path = merged(tmp_path, vectors_of(2), table=table)
    for _ in range(2):
        load_vectors(path, url, table="50% {off}", index="hnsw")
    with PostgresGallery.open(url, table="50% {off}") as gallery:
        found = gallery.search(gallery.embedding(NAMES[1]), k=1, where='distance = 2 AND "100 %" = 2')
        assert [match.metadata[name] for match in found for name in columns] == [2] * len(columns)
        assert gallery.metadata(NAMES[0])["%s"] == 1


VALUES = {
    "date": ["0044-03-15 BC", "infinity", "12024-01-01"],
    "timestamp": ["0044-03-15 00:00:00 BC", "-infinity"],
    "timestamptz": ["0044-03-15 12:00:00+00 BC", "infinity"],
    "time": ["24:00:00"],
    "interval": ["9999999 years"],
    "numeric": ["NaN", "Infinity"],
    "daterange": ["[0100-01-01 BC,0044-03-15 BC)"],
    "date[]": ["{0044-03-15 BC,NULL}"],
    "mood": ["calm"],
    "jsonb": [f'{{"a": {"9" * 5000}}}'],
    "point": ["(1,2)"],
}


async def test_any_value_is_shown(service: FakeService, url: str, tmp_path: Path) -> None:
    """Also one that Python has no value for, such as a date BC: as PostgreSQL's own text."""
    path = await asyncio.to_thread(merged, tmp_path, vectors_of(2))
    await asyncio.to_thread(load_vectors, path, url + "?options=-c%20timezone%3DUTC")
    values = [(kind, value) for kind, texts in VALUES.items() for value in texts]
    added = [f"ADD c{at} {kind} DEFAULT '{value}'" for at, (kind, value) in enumerate(values)]
    ask(url, "CREATE TYPE mood AS ENUM ('calm')")
    ask(url, f"ALTER TABLE paintings {', '.join(added)}")
    arguments = ("search", NAMES[0], "--postgres", url + "?options=-c%20timezone%3DUTC", "--json")
    ran = await cli(*arguments, cwd=tmp_path, service=service)
    assert (ran.code, ran.err) == (0, "")
    [found] = json.loads(ran.out)
    expected: dict[str, Any] = {f"c{at}": value for at, (_, value) in enumerate(values)}
    expected |= {"c11": "[0100-01-01 BC, 0044-03-15 BC)", "c12": ["0044-03-15 BC", None]}
    assert {name: found[name] for name in expected} == expected


def test_a_vector_without_length_comes_last(url: str, tmp_path: Path) -> None:
    """With the score 0, also where an index leaves it out; one that is missing is no painting."""
    vectors = vectors_of(4)
    vectors[0] = 0
    load_vectors(merged(tmp_path, vectors), url, index="hnsw")
    ask(url, "ALTER TABLE paintings ALTER vector DROP NOT NULL")
    ask(url, "UPDATE paintings SET vector = NULL WHERE year = 1603")
    with PostgresGallery.open(url + BY_INDEX) as gallery:
        found = gallery.search(query(vectors[2]))
        assert [match.image_file for match in found][::2] == [NAMES[2], NAMES[0]]
        assert (len(found), found[-1].score) == (3, 0)
        with pytest.raises(KeyError):
            gallery.embedding(NAMES[3])


def test_what_is_not_utf8_is_said_to_be_so(url: str, tmp_path: Path) -> None:
    """A shell passes any bytes."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    with PostgresGallery.open(url) as gallery, pytest.raises(ConfigurationError, match="not UTF-8"):
        gallery.count("school = '\udce9'")
    with pytest.raises(ConfigurationError, match="cannot be a name"):
        PostgresGallery.open(url, table="caf\udce9")
    for timeout_s in (0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="timeout_s"):
            PostgresGallery.open(url, timeout_s=timeout_s)


def test_conditions_are_plain_sql(url: str, tmp_path: Path) -> None:
    """With signs that mean something to templates, and with comments; an index finds as many as there are."""
    names = [f"{number:03}%.jpg" for number in range(300)]
    vectors = np.random.default_rng(7).normal(size=(300, 1024)).astype(np.float32)
    load_vectors(merged(tmp_path, vectors, table=table_of(names)), url, index="hnsw")
    for where, count in (
        ("image_file LIKE '00_%%' AND school IS NULL", 5),
        ("year >= 1895 -- the last", 5),
        ("'{}' = '{}' AND year % 100 = 0", 3),
    ):
        with PostgresGallery.open(url + BY_INDEX) as gallery:
            assert gallery.count(where) == count
            for exact in (False, True):
                assert len(gallery.search(query(vectors[0]), where=where, exact=exact)) == count


def test_a_search_writes_nothing(url: str, tmp_path: Path) -> None:
    """What is no condition is said to be none; the time it takes has a limit."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    wanted = query(vectors_of(1)[0])
    body = "BEGIN DELETE FROM paintings; RETURN true; END"
    ask(url, f"CREATE FUNCTION wipe() RETURNS bool LANGUAGE plpgsql AS '{body}'")
    with PostgresGallery.open(url) as gallery:
        searches = (gallery.count, lambda where: gallery.search(wanted, where=where))
        for where, ask_for in product(NO_CONDITIONS, searches):
            with pytest.raises(ConfigurationError, match="cannot be used; columns are image_file"):
                ask_for(where)
        for ask_for in searches:
            with pytest.raises(SemartVectorsError, match="read-only transaction"):
                ask_for("wipe()")
        with pytest.raises(ConfigurationError, match=r"hnsw\.ef_search"):
            gallery.search(wanted, ef_search=0)
        assert len(gallery.search(wanted)) == 2
    with PostgresGallery.open(url, timeout_s=0.1) as gallery:
        with pytest.raises(DatabaseError, match="timeout"):
            gallery.search(wanted, where="pg_sleep(60) IS NOT NULL")
        assert len(gallery) == 2
    assert len(stored(url)) == 2


async def test_search_from_the_command_line(service: FakeService, url: str, tmp_path: Path) -> None:
    """As in a file: by words, by a painting, with a condition; what nothing meets costs no call."""
    path = await asyncio.to_thread(merged, tmp_path, vectors_of(4))
    await asyncio.to_thread(load_vectors, path, url)
    for arguments in (("a ship", "-k3"), (NAMES[1], "--where", "year > 1600")):
        told = [
            json.loads((await cli("search", *arguments, *where, "--json", cwd=tmp_path, service=service)).out)
            for where in (("--postgres", url), ("--vectors", str(path)))
        ]
        names = [[each["image_file"] for each in found] for found in told]
        assert names[0] == names[1]
        assert [found["year"] for found in told[0]] == [found["year"] for found in told[1]]
    assert len(service.calls) == 2
    ran = await cli("search", "a ship", "--postgres", url, "--where=year<0", cwd=tmp_path, service=service)
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing was found\n")
    ran = await cli("search", "a ship", "--postgres", url, "--table=other", cwd=tmp_path, service=service)
    assert (ran.code, "no table other with vectors" in ran.err, PASSWORD in ran.err) == (9, True, False)
    for none_or_both in ((), ("--postgres", url, "--vectors", str(path))):
        assert (await cli("search", "a ship", *none_or_both, cwd=tmp_path, service=service)).code == 2
    assert len(service.calls) == 2
