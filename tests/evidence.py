"""What is asked of a memory store, and the tests that answer: `docs/aisvs.md` is made of it, by `make evidence`.

A test says what it answers by `@pytest.mark.answers("AISVS 8.1.1", …)`. A requirement that no test answers says why.
`python -m tests.evidence` runs the marked tests and writes the page with their results.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "aisvs.md"
MARK = "pytest.mark.answers"


class Requirement(NamedTuple):
    """What is asked, in a few words; `open` says why no test answers it, or what its tests leave out."""

    asked: str
    open: str = ""


PARTS: dict[str, dict[str, Requirement]] = {
    "OWASP ASI06, memory and context poisoning: the nine guidelines": {
        "ASI06 1": Requirement(
            "encryption at rest, least privilege",
            "in transit: there is no server; brokers use their own TLS",
        ),
        "ASI06 2": Requirement("every write is looked at before it is committed"),
        "ASI06 3": Requirement("memory is segmented: the tenant is a wall"),
        "ASI06 4": Requirement("identity comes from the runtime; access depends on the context"),
        "ASI06 5": Requirement("provenance, and alarms for suspicious updates and frequencies"),
        "ASI06 6": Requirement("what was recalled is not taken in again"),
        "ASI06 7": Requirement("quarantine and rollback by source, with what was derived"),
        "ASI06 8": Requirement("what nobody verified ends by itself"),
        "ASI06 9": Requirement("high impact surfaces as trusted only with provenance and verification"),
    },
    "OWASP AISVS 1.0": {
        "AISVS 5.2.1": Requirement("default deny; policies only narrow"),
        "AISVS 5.2.2": Requirement("the asker's rights at each retrieval and each assembly"),
        "AISVS 5.2.4": Requirement(
            "a filter behind the model",
            "not built: an answer can be attributed to memories, not filtered",
        ),
        "AISVS 5.2.5": Requirement("rules are out of an agent's reach"),
        "AISVS 5.2.7": Requirement("labels go along to what is derived"),
        "AISVS 6.1.2": Requirement("adapters come from approved sources only"),
        "AISVS 6.1.3": Requirement("what comes from elsewhere is signed"),
        "AISVS 8.1.1": Requirement("ids and namespaces of tenants do not collide"),
        "AISVS 8.1.2": Requirement("what was written cannot be changed unseen"),
        "AISVS 8.1.3": Requirement("retrieval enforces scope"),
        "AISVS 8.2.1": Requirement("sensitive words are taken out before they are embedded"),
        "AISVS 8.2.2": Requirement(
            "vectors out of line are refused, or named",
            "a hub is limited at recall, not flagged at its write",
        ),
        "AISVS 8.2.3": Requirement("what agents and tools put out is not trusted by itself"),
        "AISVS 8.2.4": Requirement("content made to be retrieved does not come back as trusted"),
        "AISVS 8.2.5": Requirement("new content is held against the old; contradictions raise an alarm"),
        "AISVS 8.3.1": Requirement("what has expired is on no way of reading"),
        "AISVS 8.3.2": Requirement("memory can be erased, and residue is looked for"),
        "AISVS 8.3.3": Requirement("what is in quarantine is kept, and on no way of reading"),
        "AISVS 9.4.4": Requirement("stored state is integrity-protected"),
        "AISVS 11.2.5": Requirement(
            "what was erased cannot be told from what a model never saw",
            "shown exactly, by the adapter being gone; no statistics",
        ),
        "AISVS 12.1.2": Requirement("every retrieval is on record"),
        "AISVS 12.1.4": Requirement("decisions and revisions of policy are on record"),
        "AISVS 12.5.4": Requirement("source, writer and time of every memory; a stranger can check the log"),
    },
    "Published vulnerabilities of memory stores": {
        "CVE-2025-67644, CVE-2026-27022": Requirement("SQL through filter keys, values and namespaces"),
        "CVE-2026-28277": Requirement("what is loaded names the class that is made of it"),
        "CVE-2026-31240, CVE-2026-31245, CVE-2026-50027": Requirement(
            "a verb that does not ask whose a memory is",
            "there is no server to authenticate to",
        ),
        "MemOS #2259": Requirement("None and empty names pass for somebody"),
        "CVE-2026-32247": Requirement("queries through labels and namespaces"),
        "CVE-2026-45829": Requirement("code of a model that somebody named"),
        "memmy #462, claude-mem #1933": Requirement("keys are shown", "there is no service to be asked from a browser"),
        "JDP-2026-003": Requirement("paths that lead out of a folder"),
        "agent-governance-toolkit #2992": Requirement("a policy engine that fails lets through"),
        "llama_index #22701": Requirement("the first asker's filter stays for the next"),
        "MemOS #2331, MemPalace #1710": Requirement("erasing leaves vectors behind; repairing loses memories"),
        "Chroma #7090, Qdrant #3090": Requirement("an index is lost or damaged after a kill"),
    },
    "Bad input": {
        "input 1": Requirement("SQL in a filter"),
        "input 2": Requirement("namespace parts `..`, `/`, NUL, right-to-left marks, empty"),
        "input 3": Requirement("twins: equal ids and look-alike names of two tenants"),
        "input 4": Requirement("operators of full text search in a question"),
        "input 5": Requirement("wildcards in a namespace"),
        "input 6": Requirement("very much, very large, not a number, lone surrogates"),
        "input 7": Requirement("vectors that cannot be compared"),
        "input 8": Requirement("bombs, links, paths and cuts in a bundle"),
        "input 9": Requirement("tensors that are none, or do not fit"),
        "input 10": Requirement("keys and values of another model"),
        "input 11": Requirement("a pickle under another name"),
    },
    "Identity": {
        "identity 12": Requirement("nobody: None, empty, blank, not a name"),
        "identity 13": Requirement("a user named in a payload, in metadata, in state"),
        "identity 14": Requirement("a purpose that a model gives itself"),
        "identity 15": Requirement("access revoked between search and assembly"),
        "identity 16": Requirement("one object for many: requests, threads, tasks, after a fork"),
        "identity 17": Requirement("rules: attribute missing, engine failing, hanging, file empty"),
        "identity 18": Requirement("rights that one grants oneself"),
        "identity 19": Requirement("absent and denied can be told apart"),
    },
    "Poison": {
        "poison 20": Requirement("a correction that nobody asked for"),
        "poison 21": Requirement("a memory that calls itself verified"),
        "poison 22": Requirement("a memory made to be near everything"),
        "poison 23": Requirement("orders hidden in characters that nobody sees"),
        "poison 24": Requirement("a tool's words in the mouth of the model"),
        "poison 25": Requirement("recalled and taken in again, a thousand times"),
        "poison 26": Requirement("one in a thousand memories waits for its word"),
    },
    "At rest": {
        "at rest 27": Requirement("nine edits of the files"),
        "at rest 28": Requirement("sealed bodies and keys of two memories exchanged"),
        "at rest 29": Requirement("the end of the log cut off"),
        "at rest 30": Requirement("yesterday's files set back"),
    },
    "Faults": {
        "fault 31": Requirement("kill -9 at any moment"),
        "fault 32": Requirement("power loss, torn writes"),
        "fault 33": Requirement("full disk, failing disk, too many files"),
        "fault 34": Requirement("clocks that jump"),
        "fault 35": Requirement("a database server that goes away at a commit", "there is no vault on a server"),
    },
}  # fmt: skip
REQUIREMENTS = {name: told for part in PARTS.values() for name, told in part.items()}


def marked() -> dict[str, list[str]]:
    """The ids of the tests that answer each name, read from their source; of a parametrised test without parameters."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == MARK:
                    for name in mark.args:
                        found[ast.literal_eval(name)].append(f"{path.relative_to(ROOT).as_posix()}::{node.name}")
    return found


def outcomes_in(xml: str, tests: list[str]) -> dict[str, str]:
    """`passed`, `failed`, `skipped` or `not run` for each test, by a JUnit report: the worst of its cases."""
    found: dict[str, set[str]] = defaultdict(set)
    for case in ElementTree.fromstring(xml).iter("testcase"):
        told = {child.tag for child in case}
        name = f"{case.get('file')}::{str(case.get('name')).partition('[')[0]}"
        found[name].add("failed" if told & {"failure", "error"} else "skipped" if "skipped" in told else "passed")
    worst = ("failed", "passed", "skipped")  # a case that this machine cannot run takes nothing from those that ran
    return {test: next((each for each in worst if each in found[test]), "not run") for test in tests}


def results(tests: list[str]) -> dict[str, str]:
    """Run the tests, without what takes minutes; how each came out."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.xml"
        how = ["-q", "-m", "not slow", "--benchmark-disable", f"--junitxml={file}", "-o", "junit_family=xunit1"]
        subprocess.run([sys.executable, "-m", "pytest", *how, *tests], cwd=ROOT, check=False)
        return outcomes_in(file.read_text("utf-8"), tests)


def page(answers: dict[str, list[str]], outcome: dict[str, str]) -> str:
    """`docs/aisvs.md`: the tests that answer each requirement, and what each came to."""
    lines = [
        "# Requirement, the tests that answer it, and how they came out",
        "",
        "Made by `make evidence` from the marks of the tests, which it runs. Only what a test shows is listed; no",
        "conformity is claimed. A mark says that a test tries this, not that nothing else could be tried.",
    ]
    for title, part in PARTS.items():
        lines += ["", f"## {title}", "", "| Requirement | What is asked | Tests and results | What is left open |"]
        lines += ["| --- | --- | --- | --- |"]
        for name, told in part.items():
            tests = "<br>".join(f"`{test}` {outcome.get(test, 'not run')}" for test in answers.get(name, []))
            lines.append(f"| {name} | {told.asked} | {tests or 'none'} | {told.open} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Run what is marked, write the page; 1 where a test failed."""
    answers = marked()
    found = results(sorted({test for each in answers.values() for test in each}))
    PAGE.write_text(page(answers, found), "utf-8")
    return int(any(each in {"failed", "not run"} for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
