"""What needs no Spark: which statements are let through, and how an answer is laid out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from jobs import query_lake
from profilelake import queries
from profilelake.errors import ConfigError
from profilelake.queries import Answer


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "  SELECT 1;  ",
        "-- why\nSELECT 1 -- because",
        "/* DROP TABLE posts; */ select ';' AS semicolon",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH t AS (SELECT 1 AS `delete`) SELECT * FROM t",
        "WITH t AS (SELECT 'INSERT INTO x') SELECT * FROM t",
        "SELECT 'it''s; fine', \"a;b\", 'a\\';b' FROM posts",
        "SHOW TABLES",
        "DESCRIBE posts",
        "desc posts",
        "SELECT update, insert FROM posts",
    ],
)
def test_reading_statements_pass(text: str) -> None:
    assert queries.statement(text) == text.rstrip().removesuffix(";")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the query is empty"),
        ("-- only a comment", "the query is empty"),
        (" ; ", "the query is empty"),
        ("DROP TABLE posts", "DROP is refused: a query only reads"),
        ("delete from posts", "DELETE is refused"),
        ("INSERT INTO posts SELECT * FROM posts", "INSERT is refused"),
        ("/* SELECT */ UPDATE posts SET likes = 1", "UPDATE is refused"),
        ("WITH t AS (SELECT 1) INSERT INTO posts SELECT * FROM t", "INSERT is refused"),
        ("WITH t AS (SELECT 1) FROM t INSERT INTO posts SELECT *", "INSERT is refused"),
        ("FROM posts INSERT INTO posts SELECT *", "FROM is refused"),
        ("SELECT 1; DROP TABLE posts", "several statements"),
        ("SELECT 1;;", "several statements"),
        ("SET spark.sql.ansi.enabled=false", "SET is refused"),
        ("'SELECT 1'", "'SELECT 1' is refused"),
        ("VACUUM posts", "VACUUM is refused"),
        ("CREATE VIEW v AS SELECT 1", "CREATE is refused"),
        ("EXPLAIN SELECT 1", "EXPLAIN is refused"),
    ],
)
def test_everything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        queries.statement(text)
    assert raised.value.exit_code == 2


def test_a_table_is_aligned_and_bounded() -> None:
    found = Answer(["name", "n", "share", "ok"], [("ab", 5, 0.25, True), ("写真", 12345, None, False)], more=True)
    assert queries.as_table(found).split("\n") == [
        "name      n  share  ok",
        "----  -----  -----  -----",
        "ab        5   0.25  true",
        "写真  12345   NULL  false",
        "2 rows, and there are more",
    ]


def test_long_text_and_line_breaks_stay_on_one_line() -> None:
    text = queries.as_table(Answer(["caption"], [("a\nb\u2028c" + "x" * 100,)], more=False))
    assert text.split("\n")[2] == "a b c" + "x" * 54 + "…"
    assert text.endswith("1 row")


def test_no_rows_still_have_a_header() -> None:
    assert queries.as_table(Answer(["a", "bc"], [], more=False)) == "a  bc\n-  --\n0 rows"


def test_csv_can_be_read_back() -> None:
    rows = [("a,b", 1, None), ('say "x"\nplease', 2, 0.1)]
    text = queries.as_csv(Answer(["t", "n", "x"], rows, more=False))
    assert list(csv.reader(io.StringIO(text))) == [
        ["t", "n", "x"],
        ["a,b", "1", ""],
        ['say "x"\nplease', "2", "0.1"],
    ]


def test_parameters() -> None:
    assert queries.parameters_of(["user_id=a=b", "n="]) == {"user_id": "a=b", "n": ""}
    for pairs, message in (
        (["user_id"], "written name=value"),
        (["a b=1"], "written name=value"),
        (["a=1", "a=2"], "given twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            queries.parameters_of(pairs)


def test_every_packaged_query_begins_with_its_question() -> None:
    found = queries.packaged()
    assert len(found) >= 6
    for query in found:
        assert "?" in query.question, query.name
        assert queries.statement(query.text)
        assert query.name in queries.listing()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "give one statement"),
        (["select 1", "select 2"], "give one statement"),
        (["select 1", "--file", "drift"], "give one statement"),
        (["drop table posts"], "DROP is refused"),
        (["--file", "no/such.sql"], "the query file no/such.sql cannot be read"),
        (["select 1", "--param", "x"], "written name=value"),
        (["select 1", "--limit", "0"], "at least one row"),
        (["select 1", "lake.pat=x"], "did you mean lake.path"),
    ],
)
def test_wrong_calls_end_before_spark_starts(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_lake, "session", None)
    assert query_lake.main(argv) == 2
    assert message in capsys.readouterr().out


def test_lists_and_dry_runs_start_no_spark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_lake, "session", None)
    assert query_lake.main(["--list"]) == 0
    assert "drift" in capsys.readouterr().out
    file = tmp_path / "mine.sql"
    file.write_text("SELECT 41 + 1", encoding="utf-8")
    assert query_lake.main(["--file", str(file), "--dry-run", f"lake.path={tmp_path}"]) == 0
    assert capsys.readouterr().out.endswith("SELECT 41 + 1\n")
