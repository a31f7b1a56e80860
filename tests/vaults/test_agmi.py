"""The public at-rest attacks of agent-memory-integrity (T1 to T9) on our vault, by what it says when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("agmi", reason="agent-memory-integrity is not installed")

from agmi.attacks.at_rest import ALL_AT_REST_ATTACKS, AT_REST_ATTACKS_WITH_SNAPSHOT, SnapshotRollbackAttack
from agmi.runner import format_scorecard

from tests.vaults.agmi_adapter import VaultAdapter


@pytest.mark.answers("AISVS 9.4.4", "at rest 27")
@pytest.mark.parametrize("attack", AT_REST_ATTACKS_WITH_SNAPSHOT, ids=lambda attack: attack.name)
def test_an_edit_at_rest_is_rejected_when_there_is_an_anchor(attack: type) -> None:
    result = attack().run(VaultAdapter(anchored=True))
    assert (result.status, result.error, result.guard) == ("safe", None, None), result


@pytest.mark.answers("AISVS 8.1.2", "at rest 27")
@pytest.mark.parametrize("attack", ALL_AT_REST_ATTACKS, ids=lambda attack: attack.name)
def test_an_edit_at_rest_is_rejected_without_an_anchor(attack: type) -> None:
    result = attack().run(VaultAdapter(anchored=False))
    assert (result.status, result.error, result.guard) == ("safe", None, None), result
    assert "IntegrityError" in result.detail or "does not match" in result.detail


@pytest.mark.answers("at rest 30")
def test_an_older_copy_of_everything_needs_an_anchor_to_be_noticed() -> None:
    """What the documentation says is not promised: the copy is genuine in every byte."""
    assert SnapshotRollbackAttack().run(VaultAdapter(anchored=False)).status == "VULNERABLE"


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacks = [attack() for attack in AT_REST_ATTACKS_WITH_SNAPSHOT]
    results = [attack.run(VaultAdapter(anchored=anchored)) for anchored in (False, True) for attack in attacks]
    table = format_scorecard(results, attacks)
    with capsys.disabled():
        print(f"\n{table}")
    assert table.count("safe") == 17
