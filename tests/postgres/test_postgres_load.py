"""Loading into a real PostgreSQL with pgvector: bit for bit, all or nothing, and no word of the password."""

from __future__ import annotations

import asyncio
import json
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from command_line import cli
from merged import MODEL, NAMES, merged, query, table_of, vectors_of
from postgres_server import PASSWORD, Server
from postgres_tables import ask, stored
from semart_vectors.errors import ConfigurationError, DatabaseError, ModelMismatchError, VectorFileError
from semart_vectors.metadata.merge import merge_vectors
from semart_vectors.postgres import LoadReport, PostgresGallery, load, load_vectors

if TYPE_CHECKING:
    from pathlib import Path


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
    monkeypatch.setattr("semart_vectors.metadata.vector_file.BLOCK_ROWS", 4)
    names = [f"{number}.jpg" for number in range(10)]
    vectors = vectors_of(10)
    load_vectors(merged(tmp_path, vectors, table=table_of(names)), url)
    assert stored(url) == {name: vector.tobytes() for name, vector in zip(names, vectors, strict=True)}


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
    with pytest.raises(VectorFileError, match=r"row 1 .*16 bits"):
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
        with pytest.raises(ModelMismatchError, match="cannot be compared"):
            gallery.search(other)
        path = merged(tmp_path, vectors_of(2), model="2022-04-11")
        assert load_vectors(path, url, replace=True).inserted == 2
        with pytest.raises(ModelMismatchError, match="2022-04-11: vectors of different models"):
            gallery.search(query(vectors_of(1)[0]))


def test_a_foreign_table_is_left_alone(url: str, tmp_path: Path) -> None:
    """One that only has the name is neither filled nor searched."""
    ask(url, "CREATE TABLE paintings (image_file text PRIMARY KEY)")
    with pytest.raises(DatabaseError, match=r"has no column .*vector"):
        load_vectors(merged(tmp_path, vectors_of(2)), url)
    with pytest.raises(DatabaseError, match="no table paintings with vectors"):
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
    with pytest.raises(VectorFileError, match=r"row 1 .*school is 'Du.x00tch'"):
        load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    table = table_of(NAMES[:3]).assign(palette=pd.Series([[1], [2], [3]], dtype=object))
    with pytest.raises(VectorFileError, match="palette is list"):
        load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    table = table_of(NAMES[:3]).assign(**{"x" * 64: 1})
    with pytest.raises(VectorFileError, match="63 bytes"):
        load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    assert ask(url, "SELECT to_regclass('paintings')") == [(None,)]


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
    monkeypatch.setitem(load._LOAD_SETTINGS, "lock_timeout", "50ms")
    with psycopg.connect(url) as somebody:
        somebody.execute("LOCK TABLE paintings IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseError, match="another load, or somebody's transaction"):
            load_vectors(path, url)
        with pytest.raises(DatabaseError, match="timeout"):
            PostgresGallery.open(url, timeout_s=0.05)
    assert load_vectors(path, url).unchanged == 2


def test_values_are_not_rounded_into_a_table_of_other_types(url: str, tmp_path: Path) -> None:
    """Whole numbers stay whole, and what is none is refused."""
    table = table_of(NAMES[:3])
    load_vectors(merged(tmp_path, vectors_of(3), table=table), url)
    path = merged(tmp_path, vectors_of(3), table=table.assign(year=[1.5, 2.5, 3.5]))
    with pytest.raises(DatabaseError, match="other types: year is bigint"):
        load_vectors(path, url)
    assert ask(url, "SELECT sum(year) FROM paintings") == [(4803,)]


def test_what_the_user_may_not_do_is_said(server: Server, url: str, tmp_path: Path) -> None:
    """Creating the extension, and creating the table."""
    path = merged(tmp_path, vectors_of(2))
    ask(url, f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    guest = server.url("paintings", user="guest")
    try:
        with pytest.raises(DatabaseError, match="run CREATE EXTENSION vector once"):
            load_vectors(path, guest)
        ask(url, "CREATE EXTENSION vector")
        with pytest.raises(DatabaseError, match="permission denied for schema public; ask its owner"):
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
    assert (ran.code, ran.out) == (0, "3 rows in paintings: 0 inserted, 0 updated, 3 unchanged\n")
    await asyncio.to_thread(merged, tmp_path, vectors_of(3), model="2022-04-11")
    ran = await cli("load", "paintings.parquet", "--postgres", url, cwd=tmp_path)
    assert (ran.code, "cannot be compared" in ran.err, PASSWORD in ran.err) == (6, True, False)
    ran = await cli("load", "paintings.parquet", "--postgres", url + "-missing", cwd=tmp_path)
    assert (ran.code, "does not exist" in ran.err, PASSWORD in ran.err) == (9, True, False)


def test_an_ivfflat_index_has_the_lists_that_pgvector_advises() -> None:
    """A thousandth of the rows, and their root where they are many."""
    assert [load.lists_for(rows) for rows in (1, 999, 11_206, 1_000_000, 4_000_000)] == [1, 1, 11, 1000, 2000]


@pytest.mark.usefixtures("url")
def test_an_address_has_any_form_of_libpq_s(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words, a service file, or an address that leaves all to the environment; no password is told."""
    path = merged(tmp_path, vectors_of(2))
    words = f"host=127.0.0.1 port={server.port} dbname=paintings user=postgres"
    (tmp_path / "services").write_text(f"[art]\n{words.replace(' ', chr(10))}\npassword={PASSWORD}\n")
    load_vectors(path, f"{words} password={PASSWORD}")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert load_vectors(path, "service=art").unchanged == 2
    for name, value in zip(("HOST", "PORT", "DATABASE", "USER"), words.split(), strict=True):
        monkeypatch.setenv(f"PG{name}", value.partition("=")[2])
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with PostgresGallery.open("postgresql://") as gallery:
        assert len(gallery) == 2
    with pytest.raises(DatabaseError) as raised:
        load_vectors(path, f"{words} password={PASSWORD}x")
    assert PASSWORD not in str(raised.value)


def test_a_replica_is_searched_and_not_loaded(url: str, tmp_path: Path) -> None:
    """It may only read, and the message says where to load."""
    path = merged(tmp_path, vectors_of(2))
    load_vectors(path, url)
    ask(url, "ALTER DATABASE paintings SET default_transaction_read_only = on")
    with pytest.raises(DatabaseError, match="needs the primary server"):
        load_vectors(path, url)
    with PostgresGallery.open(url) as gallery:
        assert gallery.search(gallery.embedding(NAMES[1]), k=1)[0].image_file == NAMES[1]
