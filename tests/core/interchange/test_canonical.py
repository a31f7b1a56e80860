"""Strict JSON at a glance: it never says yes where the strict reader says no, and says the same where both do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memos_integrations.core.errors import BundleError
from memos_integrations.core.interchange.canonical import plain_json, strict_json

TEXTS = st.text(max_size=6) | st.sampled_from(['":', '" :', "\\", '\\":', "{", "[["])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
SIGNS = [
    "{",
    "}",
    "[",
    "]",
    ",",
    '"a":',
    '"a" :',
    '"a"\t: ',
    '"b":',
    "1",
    '"x"',
    '"\\":"',
    "NaN",
    "-0",
    '"\\ud800"',
    " ",
]
PIECES = st.lists(st.sampled_from(SIGNS), max_size=9).map("".join)
DOUBLED = ['{"a":1,"a":1}', '{"a" :1,"a":1}', '{"x":"\\":","a" :1,"a" :2}', '[{"a":{"b":1,"b":2}}]']


def strict(content: bytes) -> Any:
    try:
        return strict_json(content, "it")
    except BundleError:
        return BundleError


@given(VALUES)
def test_what_is_written_plainly_is_read_at_a_glance(value: Any) -> None:
    content = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    found = plain_json(content)
    assert found is None or found == strict(content)


@given(PIECES)
def test_it_never_believes_what_the_strict_reader_refuses(text: str) -> None:
    found = plain_json(text.encode("utf-8", "surrogatepass"))
    if found is not None:
        assert found == strict(text.encode())


@pytest.mark.parametrize("doubled", DOUBLED)
def test_a_name_that_stands_twice_is_no_plain_json(doubled: str) -> None:
    assert plain_json(doubled.encode()) is None
    assert strict(doubled.encode()) is BundleError


def test_a_record_as_it_is_written_is_plain() -> None:
    assert plain_json(b'{"a":{"b":[1,{"c":"d"}]},"e":"f"}') == {"a": {"b": [1, {"c": "d"}]}, "e": "f"}
