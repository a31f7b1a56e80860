"""`memos simulate`: a log of uses from a file, replayed under each policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memos_integrations.cli import app
from memos_integrations.core.costs import Always, ByCost, Never, replay, zipf_log
from memos_integrations.core.costs.replay import Policy
from memos_integrations.core.costs.usage_log import DISK_RENT, PerToken, compared, read_log
from memos_integrations.core.cube import Tier
from memos_integrations.core.errors import ImportFormatError


def test_a_log_from_a_file_costs_what_its_replay_costs(tmp_path: Path) -> None:
    uses = zipf_log(200, 20, seed=3)
    lines = [json.dumps({"at": each.at, "memory": f"m{each.memory}", "tokens": 300}) for each in uses]
    (tmp_path / "log.jsonl").write_text("\n".join(lines[::-1]) + "\n\n")  # in any order
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "log.jsonl"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["uses"] == 200
    assert told["memories"] == len({each.memory for each in uses})
    log, tokens = read_log(lines)
    forms = [PerToken().forms(each) for each in tokens]
    expected: dict[str, Policy] = {
        "never": Never(),
        "always": Always(Tier.ACTIVATION),
        "by cost": ByCost(rent=DISK_RENT),
    }
    for name, policy in expected.items():
        bill = replay(log, forms, policy, rent=DISK_RENT)
        assert told["policies"][name]["total_s"] == pytest.approx(bill.total)
        assert told["policies"][name]["made"] == bill.made
    shown = CliRunner().invoke(app, ["simulate", str(tmp_path / "log.jsonl")])
    assert "200 uses" in shown.output
    assert "by cost" in shown.output


def test_moments_are_seconds_or_dates_and_a_length_is_said_once() -> None:
    log, tokens = read_log(
        [
            '{"at": "2026-01-01T00:01:00+00:00", "memory": "a", "tokens": 40}',
            '{"at": "2026-01-01T00:00:00+00:00", "memory": "b"}',
            '{"at": "2026-01-01T00:02:00Z", "memory": "a"}',
        ]
    )
    assert [each.at for each in log] == [0.0, 60.0, 120.0]
    assert [each.memory for each in log] == [1, 0, 0]
    assert tokens == [40, 256]


def test_free_bytes_make_everything_worth_keeping_and_dear_ones_nothing() -> None:
    log, tokens = read_log([f'{{"at": {at}, "memory": "a", "tokens": 500}}' for at in range(50)])
    assert compared(log, tokens, rent=0.0)["by cost"].made >= 1
    assert compared(log, tokens, rent=1.0)["by cost"].made == 0


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no json",
        "[1, 2]",
        '{"at": 1}',
        '{"memory": "a"}',
        '{"at": "yesterday", "memory": "a"}',
        '{"at": "2026-01-01T00:00:00", "memory": "a"}',
        '{"at": NaN, "memory": "a"}',
        '{"at": 1, "memory": "a", "tokens": -1}',
        '{"at": 1, "memory": "a", "tokens": Infinity}',
        "[" * 100_000,
    ],
)
def test_what_is_no_log_is_refused_with_a_word(line: str, tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match=r"[Ll]ine"):
        read_log([line])
    (tmp_path / "log").write_text(line)
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "log")])
    assert done.exit_code != 0


def test_a_file_that_is_none_is_refused() -> None:
    done = CliRunner().invoke(app, ["simulate", "/no/such/log"])
    assert isinstance(done.exception, ImportFormatError)
