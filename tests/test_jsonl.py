"""Lines of JSON give their text or say, each in its own words, why they have none."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.errors import InputError
from lmcore.sources.jsonl import BadLine, BadLines, lines_of, text_of_field, text_of_line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(0.5) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "is not JSON: Expecting value at character 0"),
        (b'{"text": "cut', "is not JSON: Unterminated string starting at at character 9"),
        (b'{"text": "caf\xe9"}', "holds byte 0xe9 at 13: not UTF-8"),
        (b'"text"', "has a string where an object with 'text' is needed"),
        (b'["text"]', "has a list where an object with 'text' is needed"),
        (b"null", "has null where an object with 'text' is needed"),
        (b"{}", "has no field 'text', but no other"),
        (b'{"body": "a", "id": 1}', "has no field 'text', but 'body', 'id'"),
        (b'{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}', "has no field 'text', but 'a', 'b', 'c', 'd', 'e', ..."),
        (b'{"text": null}', "has null in field 'text'; it must be a string"),
        (b'{"text": 5}', "has a number in field 'text'; it must be a string"),
        (b'{"text": 5.5}', "has a number in field 'text'; it must be a string"),
        (b'{"text": true}', "has true in field 'text'; it must be a string"),
        (b'{"text": ["a"]}', "has a list in field 'text'; it must be a string"),
        (b'{"text": {}}', "has an object in field 'text'; it must be a string"),
        (b'{"text": "\\ud83d"}', "has half of a surrogate pair at character 0 of 'text'"),
        (b'{"text": ' + b"9" * 5000 + b"}", "holds a number of too many digits"),
        (b"[" * 200_000, "is nested too deeply"),
    ],
)
def test_a_bad_line_says_why(line, reason):
    with pytest.raises(BadLine) as caught:
        text_of_line(line, "text")
    assert str(caught.value) == reason


def test_a_path_leads_into_objects_where_no_name_is_spelled_like_it():
    inner = {"meta": {"body": "inside"}}
    assert text_of_field(inner, "meta.body") == "inside"
    assert text_of_field({**inner, "meta.body": "beside"}, "meta.body") == "beside"
    with pytest.raises(BadLine, match=r"has no field 'meta\.title', but 'body'"):
        text_of_field(inner, "meta.title")
    with pytest.raises(BadLine, match="has a string where an object with 'word' is needed"):
        text_of_field(inner, "meta.body.word")


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(min_size=1).filter(lambda name: "." not in name),
)
def test_any_text_comes_back(text, name):
    for ascii_only in (True, False):
        line = json.dumps({"a": 1, name: text}, ensure_ascii=ascii_only)
        if line.isascii() or name.isprintable():
            assert text_of_line(line.encode(errors="surrogatepass"), name) == text


@given(JSON)
def test_any_json_is_text_or_a_bad_line(value):
    try:
        assert isinstance(text_of_line(json.dumps({"text": value}).encode(), "text"), str)
    except BadLine:
        assert not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value)


@given(st.binary())
def test_any_bytes_are_text_or_a_bad_line(line):
    with pytest.raises(BadLine):
        text_of_line(line + b"x", "text")


def test_lines_with_their_places():
    content = b'{"a": 1}\r\n\n  \nlast'
    found = list(lines_of(io.BytesIO(content)))
    assert found == [(0, b'{"a": 1}\r\n'), (10, b"\n"), (11, b"  \n"), (14, b"last")]
    assert all(content[start:].startswith(line) for start, line in found)
    assert list(lines_of(io.BytesIO(b""))) == []


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    assert list(lines_of(io.BytesIO(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo"))) == [
        (3, b"one\n"),
        (7, b"\xef\xbb\xbftwo"),
    ]


def test_a_line_that_is_too_long_is_passed_by(monkeypatch):
    monkeypatch.setattr("lmcore.sources.jsonl.MAX_LINE_BYTES", 8)
    found = list(lines_of(io.BytesIO(b"one\n" + b"x" * 30 + b"\ntwo\n" + b"y" * 8)))
    assert found == [(0, b"one\n"), (4, None), (35, b"two\n"), (39, None)]


def test_the_first_bad_lines_are_named_and_all_are_counted():
    bad = BadLines("news.jsonl", total=2_000)
    bad.settle(skip=False, log=pytest.fail)  # none so far
    bad.add(3, "is not JSON")
    with pytest.raises(InputError) as caught:
        bad.settle(skip=False, log=pytest.fail)
    assert str(caught.value) == (
        "news.jsonl: 1 of 2,000 lines hold no text: line 3 is not JSON. --skip-bad leaves them out"
    )
    for number in range(1001, 1006):
        bad.add(number, "is not JSON")
    with pytest.raises(InputError, match=r"6 of 2,000 .* line 1,002 is not JSON; and 3 more\. --skip-bad"):
        bad.settle(skip=False, log=pytest.fail)
    said = []
    bad.settle(skip=True, log=said.append)
    assert said == [
        "news.jsonl: left out 6 of 2,000 lines: line 3 is not JSON; line 1,001 is not JSON; "
        "line 1,002 is not JSON; and 3 more"
    ]
