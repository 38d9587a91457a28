"""Foreign JSON may have any value in any place."""

from __future__ import annotations

import pytest

from models.base.json_values import MAX_WORD, an_object, objects, storable, word


@pytest.mark.parametrize("value", [None, "", "x", 7, 1.5, True, [], [{"a": 1}], {}])
def test_what_is_no_object_is_read_as_an_empty_one(value: object) -> None:
    assert an_object(value) == {}


def test_objects_are_found_in_a_list_or_in_its_place() -> None:
    assert an_object({"a": 1}) == {"a": 1}
    assert objects([{"a": 1}, None, {}, "x", [{"c": 3}], {"b": 2}]) == [{"a": 1}, {"b": 2}]
    assert objects({"a": 1}) == [{"a": 1}]
    assert not any(map(objects, (None, {}, [], "x", 7, [{}])))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (" call-1 ", "call-1"),
        ("a\x00b", "ab"),
        ("half a \ud83d", "half a \ufffd"),
        ("x" * MAX_WORD, "x" * MAX_WORD),
        ("x" * (MAX_WORD + 1), None),  # cut short it would be another word
        ("  ", None),
        ("\x00", None),
        (7, None),
        (None, None),
        (["x"], None),
    ],
)
def test_a_word_is_a_short_text_that_can_be_stored(value: object, read: str | None) -> None:
    assert word(value) == read


def test_a_storable_text_keeps_all_but_what_the_database_refuses() -> None:
    assert storable("a\x00\udc00\n\U0001f600") == "a\ufffd\n\U0001f600"
