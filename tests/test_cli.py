"""The `memos` command, run as a user runs it: as a process, over a vault in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memos_integrations.cli import main

ROOT = Path(__file__).resolve().parents[1]
TALK = {
    "id": "garden",
    "participants": [{"name": "Iris"}, {"name": "Tom"}],
    "sessions": [
        {
            "id": "s1",
            "at": "2026-03-02T18:30:00Z",
            "messages": [
                {"id": "s1:1", "speaker": "Iris", "text": "The fig tree came from my grandmother in Kavala."},
                {"id": "s1:2", "speaker": "Tom", "text": "My sister brings the beehive on 9 April."},
                {"id": "s1:3", "speaker": "Iris", "text": "I owe the beekeeper 80 euros.", "private": True},
            ],
        },
        {
            "id": "s2",
            "at": "2026-05-11T08:00:00Z",
            "messages": [
                {"id": "s2:1", "speaker": "Tom", "text": "Watch out: \u001b[31mthe bees swarm\u001b[0m today."}
            ],
        },
    ],
}


@dataclass(frozen=True)
class Ran:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The message of a JSON error on stderr."""
        return str(json.loads(self.err)["error"]["message"])


Memos = Callable[..., Ran]


@pytest.fixture
def memos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Memos:
    """Runs `memos ...` as Iris, without embeddings, over a vault of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, user: str = "iris", **environment: str) -> Ran:
        variables = {"PYTHONPATH": str(ROOT), "MEMOS_USER": user, "MEMOS_TENANT": "home", "COLUMNS": "200"}
        variables |= {"MEMOS_VAULT": str(tmp_path / "vault"), "MEMOS_MODELS": str(tmp_path / "no-models")}
        for name, value in (variables | environment).items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(int(exited.value.code or 0), out, err)

    return run


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(TALK), "utf-8")
    return path


def test_the_command_runs_as_a_process(talk: Path, tmp_path: Path) -> None:
    """What `memos` does when it is really started: results on stdout, one line on stderr when it fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MEMOS_VAULT": str(tmp_path / "vault")}
    environment |= {"PYTHONIOENCODING": "ascii"}

    def run(*arguments: str) -> Ran:
        called = [sys.executable, "-m", "memos_integrations.cli", *arguments]
        done = subprocess.run(called, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    assert run("ingest", str(talk), "--embedder", "none", "--json").json["written"] == 4
    assert "Kavala" in run("ask", "fig tree").out
    failed = run("show", "no-such-id")
    assert (failed.code, failed.out, failed.err.count("\n")) == (2, "", 1)


def test_a_conversation_goes_in_once_and_comes_out_with_its_dates(memos: Memos, talk: Path) -> None:
    first = memos("ingest", str(talk), "--json").json
    assert (first["conversation"], first["written"], first["known"]) == ("garden", 4, 0)
    again = memos("ingest", str(talk), "--json").json
    assert (again["written"], again["known"]) == (0, 4)

    answer = memos("ask", "Where does the fig tree come from?", "--json").json
    best = answer["hits"][0]
    assert "Kavala" in best["text"]
    assert best["provenance"] == {
        "source": "talk.json",
        "thread_id": "garden",
        "session_id": "s1",
        "message_id": "s1:1",
        "speaker": "Iris",
        "occurred_at": "2026-03-02T18:30:00Z",
    }
    assert sum(best["parts"].values()) == pytest.approx(best["score"], abs=0.01)
    assert best["why"]
    assert answer["tokens"] > 0
    assert answer["milliseconds"] > 0
    assert answer["embedder"] is None


def test_k_is_the_most_that_is_given(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    assert len(memos("ask", "the bees and the beekeeper", "-k", "1", "--json").json["hits"]) == 1
    assert "at least 1" in memos("ask", "bees", "--k", "0", "--json").error


def test_another_user_gets_nothing_unless_it_is_shared_and_never_what_is_private(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    assert memos("ask", "beekeeper euros", "--json", user="tom").json["hits"] == []
    memos("ingest", str(talk), "--reader", "tom", "--vault", "shared")
    seen = memos("ask", "beekeeper euros beehive fig bees", "--vault", "shared", "--json", user="tom").json["hits"]
    assert {hit["provenance"]["message_id"] for hit in seen} <= {"s1:1", "s1:2", "s2:1"}
    assert seen
    own = memos("ask", "beekeeper euros", "--vault", "shared", "--json").json["hits"]
    assert own[0]["provenance"]["message_id"] == "s1:3"


def test_another_tenant_gets_nothing_whatever_is_shared(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk), "--reader", "*")
    assert memos("ask", "beehive", "--json", user="tom").json["hits"]
    assert memos("ask", "beehive", "--json", user="tom", MEMOS_TENANT="work").json["hits"] == []


def test_a_memory_can_be_shown_followed_and_forgotten(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    cube_id = memos("ask", "beehive", "--json").json["hits"][0]["id"]
    shown = memos("show", cube_id, "--json").json
    assert (shown["id"], shown["provenance"]["message_id"]) == (cube_id, "s1:2")
    assert "s1:2" in memos("show", cube_id).out
    assert [version["version"] for version in memos("history", cube_id, "--json").json["versions"]] == [1]

    receipt = memos("forget", cube_id, "--json").json
    assert sum(receipt["erased"].values()) > 0
    assert not any(receipt["remaining"].values())
    gone = memos("show", cube_id, "--json")
    assert gone.code == 2
    assert cube_id in gone.error
    assert "beehive" not in json.dumps(memos("ask", "beehive", "--json").json["hits"])


def test_an_id_that_one_may_not_read_and_one_that_is_not_there_look_alike(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    cube_id = memos("ask", "beehive", "--json").json["hits"][0]["id"]
    hidden = memos("show", cube_id, "--json", user="tom")
    absent = memos("show", "no-such-id", "--json", user="tom")
    assert hidden.code == absent.code == 2
    assert hidden.error.replace(cube_id, "X") == absent.error.replace("no-such-id", "X")


def test_the_audit_log_tells_each_their_own_deeds_and_an_auditor_all(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    memos("ask", "beehive", user="tom")
    mine = memos("audit", "log", "--json", user="tom").json["entries"]
    assert {entry["record"]["actor"] for entry in mine} == {"user:tom"}
    everybody = memos("audit", "log", "--role", "auditor", "--json", user="tom").json["entries"]
    assert {entry["record"]["actor"] for entry in everybody} == {"user:iris", "user:tom"}
    assert "beehive" not in json.dumps(everybody)
    assert "recall" in memos("audit", "log", user="tom").out


def test_the_audit_chain_verifies_and_a_changed_file_does_not(memos: Memos, talk: Path, tmp_path: Path) -> None:
    memos("ingest", str(talk))
    report = memos("audit", "verify", "--json")
    assert (report.code, report.json["ok"], report.json["problems"]) == (0, True, [])
    assert "Intact" in memos("audit", "verify").out

    import sqlite3

    (file,) = (tmp_path / "vault").rglob("*.db")
    with sqlite3.connect(file) as db:
        tables = [
            name
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%audit%'")
        ]
        db.execute(f"DELETE FROM {tables[0]} WHERE rowid = 2")
    damaged = memos("audit", "verify", "--json")
    assert damaged.code == 1
    assert damaged.json["problems"]


def test_remembered_words_cannot_paint_the_terminal(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    said = memos("ask", "do the bees swarm")
    assert "the bees swarm" in said.out
    assert "\x1b" not in said.out
    assert "\x1b" not in memos("ask", "do the bees swarm", "--json").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ingest", "absent.json"], "absent.json: there is no such file"),
        (["ingest", "broken.json"], "broken.json: line 1, column 2"),
        (["ingest", "lacking.json"], r"sessions[0].messages[0].text: Field required"),
        (["ingest", "talk.json", "--sample", "other"], "no sample 'other'; there is: garden"),
        (["ingest", "talk.json", "--embedder", "minilm"], "no model folder"),
        (["ask", "hello", "--vault", "nowhere"], "no vault at nowhere"),
        (["show", "x", "--vault", "nowhere"], "no vault at nowhere"),
        (["audit", "verify", "--vault", "talk.json"], "talk.json"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    memos: Memos, talk: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "broken.json").write_text("{id: 1}", "utf-8")
    lacking = json.loads(talk.read_text("utf-8"))
    del lacking["sessions"][0]["messages"][0]["text"]
    (tmp_path / "lacking.json").write_text(json.dumps(lacking), "utf-8")
    told = memos(*arguments, "--json")
    assert told.code == 2
    assert not told.out
    assert says in told.error
    words = memos(*arguments)
    assert words.code == 2
    assert words.err.startswith("error: ")
    assert says in words.err
    assert len(words.err.splitlines()) == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_time_that_is_none_and_a_time_without_zone_are_refused(memos: Memos, talk: Path) -> None:
    memos("ingest", str(talk))
    assert memos("ask", "bees", "--now", "soon").code == 2
    assert "time zone" in memos("ask", "bees", "--now", "2026-05-12T08:00", "--json").error
    assert memos("ask", "did the bees swarm yesterday?", "--now", "2026-05-12T08:00Z", "--json").json["hits"]


def test_without_weights_a_vault_is_lexical_and_says_so(memos: Memos, talk: Path) -> None:
    done = memos("ingest", str(talk), "--json")
    assert done.json["embedder"] is None
    assert "recall is lexical" in done.json["note"]
    assert "recall is lexical" in done.err


def test_a_vault_of_vectors_is_asked_by_meaning_and_by_words_where_the_weights_are_missing(
    memos: Memos, talk: Path, models: dict[str, Path]
) -> None:
    with_weights = {"MEMOS_MODELS": str(models["minilm"].parent)}
    name = memos("ingest", str(talk), "--json", **with_weights).json["embedder"]
    assert name.startswith("minilm")
    meant = memos("ask", "insects that make honey", "--json", **with_weights).json
    assert (meant["embedder"], meant["note"]) == (name, None)
    assert any("dense" in hit["parts"] for hit in meant["hits"])
    words = memos("ask", "beehive", "--json")
    assert words.json["embedder"] is None
    assert name in words.json["note"]
    assert words.json["hits"][0]["provenance"]["message_id"] == "s1:2"


def test_the_walk_of_the_demo_holds_without_any_model(memos: Memos) -> None:
    done = memos("demo", "--no-model", "--embedder", "none", "--json")
    story = done.json
    assert [check["claim"] for check in story["checks"] if not check["holds"]] == []
    assert done.code == 0
    assert story["messages"] >= 40
    assert len(story["questions"]) >= 6
    told = memos("demo", "--no-model", "--embedder", "none")
    assert told.code == 0
    assert "checks hold" in told.out


def test_the_demo_takes_a_conversation_of_ones_own(memos: Memos, talk: Path) -> None:
    own = ["demo", "--conversation", str(talk), "--no-model", "--embedder", "none", "--json"]
    story = memos(*own, "--ask", "Who brings the beehive?").json
    assert story["ok"]
    assert story["questions"][0]["hits"][0]["provenance"]["message_id"] == "s1:2"
    assert story["questions"][-1]["hits"] == []
    assert memos(*own).code == 2


def test_the_demo_fails_when_what_it_claims_does_not_hold(memos: Memos, talk: Path) -> None:
    done = memos(
        "demo", "--conversation", str(talk), "--no-model", "--embedder", "none", "--json", "--ask", "zebra crossing"
    )
    assert done.code == 1
    assert not done.json["ok"]
    assert "failed: " in done.err


@pytest.mark.slow
def test_the_demo_with_both_models(memos: Memos, models: dict[str, Path]) -> None:
    done = memos("demo", "--json", MEMOS_MODELS=str(models["minilm"].parent))
    assert done.code == 0, done.err
    assert all(question["answer"] for question in done.json["questions"] if question["by"] == "user:mira")
