"""Every published requirement is answered by a test, or says why not; the page that lists them is up to date."""

from __future__ import annotations

import re

import pytest

from tests import evidence


def test_every_mark_names_a_requirement_and_every_requirement_is_answered() -> None:
    answers = evidence.marked()
    assert not answers.keys() - evidence.REQUIREMENTS.keys()
    bare = [name for name, told in evidence.REQUIREMENTS.items() if name not in answers and not told.open]
    assert not bare


def test_the_page_names_the_tests_that_are_marked_and_none_that_failed() -> None:
    said = evidence.PAGE.read_text("utf-8")
    results = dict(re.findall(r"`(tests/[^`]+)` (passed|failed|skipped|not run)", said))
    assert said == evidence.page(evidence.marked(), results), "run `make evidence`"
    assert set(results.values()) == {"passed"}


@pytest.mark.parametrize("case", ["failed", "error", "skipped", "passed"])
def test_the_worst_of_its_cases_is_the_result_of_a_test(case: str) -> None:
    told = {"passed": "passed", "skipped": "passed"}.get(case, "failed")
    body = "" if case == "passed" else f"<{'failure' if case == 'failed' else case}/>"
    name = "tests/test_x.py::test_y"
    begin = '<testcase file="tests/test_x.py" name="test_y'
    xml = f'<r>{begin}[1]"/>{begin}[2]">{body}</testcase></r>'
    assert evidence.outcomes_in(xml, [name, "tests/test_x.py::test_z"]) == {
        name: told,
        "tests/test_x.py::test_z": "not run",
    }
