from __future__ import annotations

import pytest

from profilelake.clusters.csvs import Line, read, render, require
from profilelake.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "a.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return str(path)

    return write


def test_what_is_written_is_read(file):
    rows = [("Fruit & Cake", 'with "quotes", commas\nand lines'), ("自拍", "")]
    content = render(("name", "why"), rows)
    assert content.startswith(b"\xef\xbb\xbf")
    assert read(None, file(content), ("name", "why")) == [
        Line(3, {"name": "Fruit & Cake", "why": 'with "quotes", commas\nand lines'}),
        Line(4, {"name": "自拍", "why": ""}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_a_spreadsheet_makes_of_it_is_read(file, delimiter):
    text = f"a{delimiter}b\r\n1{delimiter}2\r\n{delimiter}\r\n\r\n3{delimiter}4\r\n"
    assert [line.cells for line in read(None, file(text), ("a",))] == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "no UTF-8"),
        ("a,c\n1,2\n", "line 1: the column 'b' is missing"),
        ("a,b,a\n1,2,3\n", "line 1: the column 'a' is there twice"),
        ("a,b\n1\n", "line 2: 1 cells instead of 2"),
        ("a,b\n1,2,3\n", "line 2: 3 cells instead of 2"),
        ('a,b\n1,"2\n', "this is no CSV"),
    ],
)
def test_a_broken_file_is_told(file, content, message):
    path = file(content)
    with pytest.raises(ConfigError, match=message) as found:
        read(None, path, ("a", "b"))
    assert str(found.value).startswith(path)


def test_a_missing_file_is_told_before_spark_starts(tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        require([str(tmp_path / "none.csv")])
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(None, str(tmp_path / "none.csv"), ("a",))
    require(["s3://bucket/cannot/be/seen.csv"])


def test_a_uri_is_read_through_spark(spark, file):
    path = file("a,b\n1,2\n")
    assert read(spark, f"file://{path}", ("a",))[0].cells == {"a": "1", "b": "2"}
