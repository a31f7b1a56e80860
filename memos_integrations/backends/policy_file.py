"""Policies from YAML that people write: read strictly, so that a slip is an error and never a hole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from memos_integrations.core.cube import first_problem
from memos_integrations.core.errors import PolicyError
from memos_integrations.core.extras import require
from memos_integrations.core.policy import Policy, Slip

LARGEST = 1_000_000
"""Characters of a policy file."""

MAY_BE_EMPTY = ("rules", "terms", "memories")
"""No rules or terms at all, and every memory."""

PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in "map seq str int float bool null timestamp merge".split()
)

_WHOLE = "tag:yaml.org,2002:int"
_DECIMAL = re.compile(r"[+-]?(?:0|[1-9]\d*)")
"""010 is eight to YAML, and 8:00 is 480."""

TEMPLATES = {
    "need-to-know": """\
rules:
  - name: salaries stay with personnel
    who: [group:personnel, owner]
    may: [read, use_in_prompt, write]
    memories: {tags: [salary]}
""",
    "clinic": """\
rules:
  - name: health data for care alone
    who: ['*']
    may_not: [read, use_in_prompt, train_on]
    memories: {sensitivity: [health]}
    unless: {purpose: [care]}
""",
    "interns": """\
rules:
  - name: interns change nothing in the handbook
    who: [role:intern]
    may_not: [write, share, delete]
    memories: {tags: [handbook]}
""",
    "retention": """\
rules:
  - name: visitor notes are unread after thirty days
    who: ['*']
    may_not: [read, use_in_prompt, train_on]
    memories: {types: [visit], older_than: P30D}
""",
    "terms": """\
rules: []
terms:
  - {name: visits end after a year, memories: {types: [visit]}, ttl: P365D}
  - {name: gossip fades, memories: {tags: [gossip]}, half_life: P30D}
  - name: others read a report ten times, for research
    memories: {tags: [report]}
    licence: {uses_left: 10, purposes: [research]}
""",
    "guests-and-editors": """\
rules:
  - {name: guests only read, who: ['role:guest'], may_not: [write, share, delete, train_on]}
  - name: drafts are for editors
    who: [role:editor, owner]
    may: [read, use_in_prompt]
    memories: {tags: [draft]}
""",
    "front-desk": """\
rules:
  - name: the front desk does not see who wrote it, where, and what it is filed under
    who: [role:front-desk]
    may_not: [read]
    fields: [author, source, thread, tags]
""",
    "office-hours": """\
rules:
  - name: contractors read on working days from eight to six
    who: [role:contractor]
    may_not: [read, use_in_prompt]
    unless: {days: [1, 2, 3, 4, 5], hours: [8, 18], zone: Europe/Berlin}
""",
}
"""Policies to begin with, by what they are for."""


def read_policy(text: str) -> Policy:
    """The policy that a YAML text says.

    Raises:
        PolicyError: It is no YAML, has aliases or a key twice, is empty, or says what no policy says.
        MissingExtraError: The extra `policy` is not installed.
    """
    yaml = require("yaml", extra="policy")
    if len(text) > LARGEST:
        raise PolicyError(f"A policy has at most {LARGEST:,} characters.")
    try:
        _check(yaml.compose(text, Loader=yaml.SafeLoader), yaml, set())
        said = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise PolicyError(f"The policy cannot be read: {' '.join(str(exc).split())[:300]}.") from exc
    if not isinstance(said, dict) or "rules" not in said:
        raise PolicyError(
            "A policy begins with `rules:`. An empty one is no policy; if you mean it, write `rules: []`."
        )
    try:
        return Policy.model_validate(said)
    except (ValidationError, ValueError) as exc:
        problem = first_problem(exc) if isinstance(exc, ValidationError) else str(exc)
        raise PolicyError(f"The policy is not valid: {problem}.") from exc


def load_policy(file: str | Path) -> Policy:
    """The policy in a file; see `read_policy`.

    Raises:
        PolicyError: The file cannot be read, or is no policy.
    """
    try:
        return read_policy(Path(file).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyError(f"The policy {file} cannot be read ({exc}).") from exc


def located(file: str | Path, slips: Sequence[Slip]) -> list[str]:
    """Slips in the rules of a file, each with its line.

    Raises:
        PolicyError: The file cannot be read.
    """
    path = Path(file)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise PolicyError(f"The policy {file} cannot be read ({exc}).") from exc
    lines = {} if path.suffix == ".cedar" else _lines_of(text)
    told = []
    for slip in slips:
        line = lines.get((slip.rule, slip.word)) or lines.get((slip.rule, ""))
        if line is None and slip.word:  # of a text in which no rule has a name
            line = next((at for at, words in enumerate(text.splitlines(), 1) if slip.word in words), None)
        told.append(f"{slip}" if line is None else f"line {line}: {slip}")
    return told


def _lines_of(text: str) -> dict[tuple[str, str], int]:
    """On which line each rule begins, and each of its words stands; of several in a list also joined, with a slash."""
    yaml = require("yaml", extra="policy")
    found: dict[tuple[str, str], int] = {}
    for _, section in yaml.compose(text, Loader=yaml.SafeLoader).value:
        for rule in section.value:
            said = {key.value: value for key, value in rule.value}
            name = said["name"].value
            found[name, ""] = rule.start_mark.line + 1
            waiting = [*said.values()][::-1]
            while waiting:
                node = waiting.pop()
                if isinstance(node, yaml.MappingNode):
                    waiting += [value for _, value in node.value][::-1]
                    continue
                words = [node] if isinstance(node, yaml.ScalarNode) else node.value
                for each in words:
                    found.setdefault((name, str(each.value)), each.start_mark.line + 1)
                if words:
                    joined = "/".join(str(each.value) for each in words)
                    found.setdefault((name, joined), words[0].start_mark.line + 1)
    return found


def _check_words(words: str, line: int) -> None:
    """Refuse what is not what it looks like: a rule about it would be about nobody, or nothing."""
    hidden = any(not each.isprintable() and each not in "\n\t" for each in words)
    if hidden or words != unicodedata.normalize("NFC", words):
        raise PolicyError(
            f"{words!r} on line {line} holds characters that nobody sees, or letters in parts: type it anew."
        )


def _check(node: Any, yaml: Any, seen: set[int]) -> None:
    """Refuse keys that stand twice, of which a reader sees one and YAML takes the other; aliases, tags, and slips."""
    if node is None:
        return
    if id(node) in seen:
        raise PolicyError("A policy has no aliases: write the words again.")
    seen.add(id(node))
    if node.tag not in PLAIN_TAGS:
        raise PolicyError(f"What stands on line {node.start_mark.line + 1} has a tag ({node.tag}): write it plainly.")
    inside: list[Any] = []
    if isinstance(node, yaml.ScalarNode):
        _check_words(node.value, node.start_mark.line + 1)
        if node.tag == _WHOLE and _DECIMAL.fullmatch(node.value) is None:
            raise PolicyError(
                f"{node.value!r} on line {node.start_mark.line + 1} is another number to YAML: write 8, not 08."
            )
    elif isinstance(node, yaml.MappingNode):
        _check_keys(node)
        inside = [each for pair in node.value for each in pair]
    else:
        inside = node.value
    for each in inside:
        _check(each, yaml, seen)


def _check_keys(node: Any) -> None:
    keys = [key.value for key, _ in node.value]
    if len({str(key) for key in keys}) < len(keys):
        raise PolicyError(f"A key stands twice on line {node.start_mark.line + 1} or below.")
    for key, said in node.value:
        where = f"behind {key.value!r} on line {key.start_mark.line + 1}"
        if said.tag == "tag:yaml.org,2002:null":
            raise PolicyError(f"Nothing is said {where}.")
        if key.value not in MAY_BE_EMPTY and said.value in ([], ""):
            raise PolicyError(f"Nothing is named {where}: that would hold always, or never. Leave it out, or name it.")
