"""Paintings in a real PostgreSQL with pgvector: bit for bit, all or nothing, and no word of the password."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from command_line import cli
from merged import MODEL, NAMES, merged, query, table_of, vectors_of
from postgres_server import PASSWORD, Server
from semart_vectors.errors import (
    ConfigurationError,
    DatabaseError,
    MetadataError,
    ModelMismatchError,
    SemartVectorsError,
)
from semart_vectors.gallery import Gallery
from semart_vectors.metadata.merge import merge_vectors
from semart_vectors.postgres import LoadReport, PostgresGallery, gallery as gallery_module, load, load_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_service import FakeService

NO_CONDITIONS = (
    "painter = 'x'",
    "year = 'x'",
    "year =",
    "TRUE); DROP TABLE paintings; --",
    "TRUE); COMMIT; DROP TABLE paintings; --",
)

BY_INDEX = "?options=-c%20enable_seqscan%3Doff"
"""Of few rows PostgreSQL looks at all, unless it is told not to."""


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """Make an empty database for a test."""
    server.ask("CREATE DATABASE paintings")
    yield server.url("paintings")
    server.ask("DROP DATABASE paintings WITH (FORCE)")


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Look into the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def stored(url: str, kind: str = ">f4") -> dict[str, bytes]:
    """Return the numbers that the database itself sends for each name, as float32."""
    send = "vector_send" if kind == ">f4" else "halfvec_send"
    rows = ask(url, f"SELECT image_file, {send}(vector) FROM paintings")  # noqa: S608 - ours
    return {name: np.frombuffer(sent[4:], kind).astype(np.float32).tobytes() for name, sent in rows}


def test_every_vector_and_every_text_comes_back_as_it_was(url: str, tmp_path: Path) -> None:
    """Bit for bit, whatever is in names, texts and the names of columns."""
    vectors = vectors_of(len(NAMES))
    report = load_vectors(merged(tmp_path, vectors), url)
    assert report == LoadReport(rows=6, inserted=6, updated=0, unchanged=0)
    assert stored(url) == {name: vector.tobytes() for name, vector in zip(NAMES, vectors, strict=True)}
    rows = ask(url, "SELECT * FROM paintings ORDER BY year")
    expected = table_of(NAMES).astype(object)
    expected = expected.where(expected.notna(), None)
    assert [row[:-2] for row in rows] == list(expected.itertuples(index=False, name=None))
    assert {row[-1] for row in rows} == {MODEL}
    kinds = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'paintings'::regclass"
    assert [kind for (kind,) in ask(url, kinds + " AND attnum > 0 ORDER BY attnum")] == [
        *("text", "text", "bigint", "double precision", "boolean", "text", "vector(1024)", "text")
    ]


def test_the_tutorial_s_own_statement_copies_our_csv(url: str, tmp_path: Path) -> None:
    """Into `vector(1024)`, by the names of the columns, bit for bit, whatever is in names and texts."""
    vectors = vectors_of(len(NAMES))
    merged(tmp_path, vectors)
    table = table_of(NAMES)
    merge_vectors(table, tmp_path / "ck", tmp_path / "dataset_embeddings.csv")
    columns = [*(f"{sql.Identifier(name).as_string()} text" for name in table.columns), "vector vector(1024)"]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(f"CREATE TABLE paintings ({', '.join(columns)})".encode())
        statement = "COPY paintings FROM STDIN WITH (FORMAT csv, DELIMITER E'\t', HEADER MATCH)"
        with connection.cursor().copy(statement) as copy:
            copy.write((tmp_path / "dataset_embeddings.csv").read_bytes())
    assert stored(url) == {name: vector.tobytes() for name, vector in zip(NAMES, vectors, strict=True)}
    titles = ask(url, 'SELECT image_file, "Title; DROP""\'", school FROM paintings')
    expected = table.astype(object).where(table.notna(), None)
    assert sorted(titles) == sorted(zip(NAMES, expected.iloc[:, 1], expected["school"], strict=True))


def test_more_rows_than_a_block(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks join without a seam."""
    monkeypatch.setattr("semart_vectors.metadata.merged_file.BLOCK_ROWS", 4)
    names = [f"{number}.jpg" for number in range(10)]
    vectors = vectors_of(10)
    load_vectors(merged(tmp_path, vectors, table=table_of(names)), url)
    assert stored(url) == {name: vector.tobytes() for name, vector in zip(names, vectors, strict=True)}


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


def test_half_keeps_what_fits_sixteen_bits(url: str, tmp_path: Path) -> None:
    """The service's numbers are exact in them; what does not fit is refused with its row."""
    vectors = vectors_of(3)
    vectors[:, :2] = [-0.0, 6e-8]
    vectors[0, 2] = 65504
    wide = vectors.astype(np.float16).astype(np.float32)
    load_vectors(merged(tmp_path, wide), url, half=True, index="hnsw")
    assert list(stored(url, ">f2").values()) == [vector.tobytes() for vector in wide]
    with PostgresGallery.open(url) as gallery:
        assert gallery.search(query(wide[1]))[0].image_file == NAMES[1]
    wide[1, 5] = 65520
    with pytest.raises(MetadataError, match=r"row 1 .*16 bits"):
        load_vectors(merged(tmp_path, wide), url, half=True)
    with pytest.raises(DatabaseError, match=r"as halfvec\(1024\), not vector\(1024\)"):
        load_vectors(merged(tmp_path, vectors_of(3)), url)


def test_loading_again_brings_the_table_up_to_date(url: str, tmp_path: Path) -> None:
    """What differs is updated, what is the same is left alone, what is in the table only stays."""
    vectors = vectors_of(4)
    load_vectors(merged(tmp_path, vectors), url, index="ivfflat")
    vectors[1] *= 2
    table = table_of([*NAMES[:3], "new.jpg"])
    table.loc[2, "school"] = "Flemish"
    path = merged(tmp_path, vectors, table=table)
    assert load_vectors(path, url) == LoadReport(rows=4, inserted=1, updated=2, unchanged=1)
    assert load_vectors(path, url, index="ivfflat").unchanged == 4
    assert stored(url)[NAMES[1]] == vectors[1].tobytes()
    assert sorted(stored(url)) == sorted([*NAMES[:4], "new.jpg"])
    assert load_vectors(path, url, replace=True).inserted == 4


def test_an_interrupted_load_changes_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the midst of the rows nor after them, and not where the table was to be replaced."""
    load_vectors(merged(tmp_path, vectors_of(4)), url)
    before = stored(url)
    path = merged(tmp_path, vectors_of(6, seed=1))
    for place in ("_binary", "_upsert", "_create_index"):
        with monkeypatch.context() as patched:

            def interrupt(*_: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(load, place, interrupt)
            with pytest.raises(KeyboardInterrupt):
                load_vectors(path, url, replace=True, index="hnsw")
        assert stored(url) == before


def test_a_table_of_another_model_is_refused(url: str, tmp_path: Path) -> None:
    """Unless it is to be replaced; so is a query of another model."""
    path = merged(tmp_path, vectors_of(2))
    load_vectors(path, url)
    with pytest.raises(ModelMismatchError, match=rf"{MODEL}, the file those of 2022-04-11"):
        load_vectors(merged(tmp_path, vectors_of(2), model="2022-04-11"), url)
    other = query(vectors_of(1)[0], model="2022-04-11")
    with PostgresGallery.open(url) as gallery:
        assert gallery.model_version == MODEL
        with pytest.raises(ModelMismatchError, match="do not compare"):
            gallery.search(other)
        path = merged(tmp_path, vectors_of(2), model="2022-04-11")
        assert load_vectors(path, url, replace=True).inserted == 2
        with pytest.raises(ModelMismatchError, match="2022-04-11: vectors of two models"):
            gallery.search(query(vectors_of(1)[0]))


def test_a_foreign_table_is_left_alone(url: str, tmp_path: Path) -> None:
    """One that only has the name is neither filled nor searched."""
    ask(url, "CREATE TABLE paintings (image_file text PRIMARY KEY)")
    with pytest.raises(DatabaseError, match=r"has no column .*vector"):
        load_vectors(merged(tmp_path, vectors_of(2)), url)
    with pytest.raises(DatabaseError, match="paintings is no table of paintings"):
        PostgresGallery.open(url)


def test_an_empty_table_is_said_to_be_empty(url: str, tmp_path: Path) -> None:
    """It has no model yet that a query could be of."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    ask(url, "DELETE FROM paintings")
    with pytest.raises(DatabaseError, match="paintings is empty: fill it by"):
        PostgresGallery.open(url)


def test_a_table_may_have_any_name_in_any_schema(url: str, tmp_path: Path) -> None:
    """Names are names: no SQL comes out of them, and none is cut."""
    path = merged(tmp_path, vectors_of(2))
    ask(url, 'CREATE SCHEMA "My Art"')
    for table in ("My Art.p", 'x"; DROP TABLE paintings; --', "\N{ARTIST PALETTE}" * 15):
        assert load_vectors(path, url, table=table, index="hnsw").inserted == 2
        with PostgresGallery.open(url, table=table) as gallery:
            assert len(gallery) == len(gallery.search(query(vectors_of(1)[0]))) == 2
    for table in ("a.b.c", "", ".a", "\N{ARTIST PALETTE}" * 16):
        with pytest.raises(ConfigurationError):
            load_vectors(path, url, table=table)


def test_what_postgresql_cannot_hold_is_told_with_its_place(url: str, tmp_path: Path) -> None:
    """NUL characters, lists, and names that would be cut; nothing is written."""
    table = table_of(NAMES[:3])
    table.loc[1, "school"] = "Du\0tch"
    with pytest.raises(MetadataError, match=r"row 1 .*school is 'Du.x00tch'"):
        load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    table = table_of(NAMES[:3]).assign(palette=pd.Series([[1], [2], [3]], dtype=object))
    with pytest.raises(MetadataError, match="palette is list"):
        load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    table = table_of(NAMES[:3]).assign(**{"x" * 64: 1})
    with pytest.raises(MetadataError, match="63 bytes"):
        load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    assert ask(url, "SELECT to_regclass('paintings')") == [(None,)]


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
    expected = Gallery.open(path).search(wanted, k=60, leave_out="017.jpg")
    for exact in (False, True):
        with PostgresGallery.open(url + BY_INDEX) as gallery:
            found = gallery.search(wanted, k=60, leave_out="017.jpg", exact=exact, ef_search=400, probes=1)
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


def test_two_loads_at_once_follow_one_another(url: str, tmp_path: Path) -> None:
    """Into a table that neither finds there; the second brings it up to date."""
    paths = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        paths.append(merged(tmp_path / str(seed), vectors_of(6, seed=seed)))
    with ThreadPoolExecutor(2) as threads:
        reports = list(threads.map(lambda path: load_vectors(path, url), paths))
    assert sorted((report.inserted, report.updated) for report in reports) == [(0, 6), (6, 0)]


def test_a_load_waits_for_a_lock_only_so_long(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what it waited for; so does a gallery that is opened."""
    path = merged(tmp_path, vectors_of(2))
    load_vectors(path, url)
    monkeypatch.setitem(load._PATIENCE, "lock_timeout", "50ms")
    with psycopg.connect(url) as somebody:
        somebody.execute("LOCK TABLE paintings IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseError, match="another load, or somebody's transaction"):
            load_vectors(path, url)
        with pytest.raises(DatabaseError, match="timeout"):
            PostgresGallery.open(url, timeout_s=0.05)
    assert load_vectors(path, url).unchanged == 2


def test_a_server_that_says_nothing_is_left(
    server: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not even say that the time is up: the connection is ended here."""
    load_vectors(merged(tmp_path, vectors_of(2)), url)
    monkeypatch.setattr(gallery_module, "_GRACE_S", 0.1)
    with PostgresGallery.open(url, timeout_s=0.1) as gallery:
        [(process,)] = server.ask(
            "SELECT pid FROM pg_stat_activity WHERE datname = 'paintings' AND query LIKE '%vector%'"
        )
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseError, match="did not answer in time"):
                gallery.count()
        finally:
            os.kill(process, signal.SIGCONT)


def test_values_are_not_rounded_into_a_table_of_other_types(url: str, tmp_path: Path) -> None:
    """Whole numbers stay whole, and what is none is refused."""
    table = table_of(NAMES[:3])
    load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    path = merged(tmp_path, vectors_of(3), table=table.assign(year=[1.5, 2.5, 3.5]))
    with pytest.raises(DatabaseError, match="other types: year is bigint"):
        load_vectors(path, url)
    assert ask(url, "SELECT sum(year) FROM paintings") == [(4803,)]


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
    """Also as what a search computes."""
    table = table_of(NAMES[:2]).assign(distance=[1, 2], nearest=["a", "b"], k=[0, 0])
    load_vectors(merged(tmp_path, vectors_of(2), table=table), url)
    with PostgresGallery.open(url) as gallery:
        found = gallery.search(gallery.embedding(NAMES[1]), k=1, where="distance = 2 AND nearest = 'b'")
        assert [match.metadata["distance"] for match in found] == [2]


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


def test_what_the_user_may_not_do_is_said(server: Server, url: str, tmp_path: Path) -> None:
    """Creating the extension, and creating the table."""
    path = merged(tmp_path, vectors_of(2))
    ask(url, f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    guest = server.url("paintings", user="guest")
    try:
        with pytest.raises(DatabaseError, match="run CREATE EXTENSION vector once"):
            load_vectors(path, guest)
        ask(url, "CREATE EXTENSION vector")
        with pytest.raises(DatabaseError, match="permission denied for schema public; let its owner"):
            load_vectors(path, guest)
    finally:
        ask(url, "DROP ROLE guest")


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace(PASSWORD, f"wrong-{PASSWORD}"),
        lambda url: url.replace("127.0.0.1", "nowhere.invalid"),
        lambda url: url.rpartition(":")[0] + ":1/paintings",
        lambda url: url + "-missing",
        lambda url: url.replace(PASSWORD, f"a@{PASSWORD}"),
        lambda url: url.replace(PASSWORD, f"a/{PASSWORD}"),
        lambda url: url.replace(PASSWORD, f"{PASSWORD}/b"),
        lambda url: url.replace(PASSWORD, f"a?{PASSWORD}"),
        lambda url: url.replace(PASSWORD, f"{PASSWORD}%zz"),
        lambda url: url.replace(PASSWORD, f"{PASSWORD}%00"),
        lambda url: url.replace("://", ":/"),
        lambda url: f"{url}?{PASSWORD}",
        lambda url: f"{url}?port={PASSWORD}",
        lambda url: f"{url}?sslmode={PASSWORD}",
        lambda _: PASSWORD,
        lambda _: f"host=127.0.0.1 password={PASSWORD} port",
    ],
)
def test_no_error_shows_the_password(server: Server, tmp_path: Path, change: Any) -> None:
    """Wherever it stands in an address that cannot be used: not in the error, nor in those behind it."""
    path = merged(tmp_path, vectors_of(2))
    with pytest.raises((ConfigurationError, DatabaseError)) as caught:
        load_vectors(path, change(server.url("paintings")))
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert PASSWORD not in told


async def test_load_from_the_command_line(url: str, tmp_path: Path) -> None:
    """JSON for programs, 6 for another model, 9 for the database, and no password in any of it."""
    await asyncio.to_thread(merged, tmp_path, vectors_of(3))
    ran = await cli("load", "paintings.parquet", "--postgres", url, "--index", "hnsw", "--json", cwd=tmp_path)
    assert (ran.code, json.loads(ran.out)["inserted"]) == (0, 3)
    ran = await cli("load", "paintings.parquet", "--postgres", url, cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "3 paintings in paintings: 0 inserted, 0 updated, 3 unchanged\n")
    await asyncio.to_thread(merged, tmp_path, vectors_of(3), model="2022-04-11")
    ran = await cli("load", "paintings.parquet", "--postgres", url, cwd=tmp_path)
    assert (ran.code, "do not compare" in ran.err, PASSWORD in ran.err) == (6, True, False)
    ran = await cli("load", "paintings.parquet", "--postgres", url + "-missing", cwd=tmp_path)
    assert (ran.code, "does not exist" in ran.err, PASSWORD in ran.err) == (9, True, False)


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
    assert (ran.code, "other is no table of paintings" in ran.err, PASSWORD in ran.err) == (9, True, False)
    for none_or_both in ((), ("--postgres", url, "--vectors", str(path))):
        assert (await cli("search", "a ship", *none_or_both, cwd=tmp_path, service=service)).code == 2
    assert len(service.calls) == 2


def test_an_ivfflat_index_has_the_lists_that_pgvector_advises() -> None:
    """A thousandth of the rows, and their root where they are many."""
    assert [load.lists_for(rows) for rows in (1, 999, 11_206, 1_000_000, 4_000_000)] == [1, 1, 11, 1000, 2000]
