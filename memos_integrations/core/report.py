"""A compliance report: what was read, refused, governed and deleted in a tenant, by day and by subject. Pure.

It counts audit entries; it holds names and numbers of memories, never their words. As Markdown, or as one HTML page
that needs nothing else and prints well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from html import escape

from memos_integrations.core.cube import Moment, Value
from memos_integrations.core.ports import AuditEntry, AuditRecord, Outcome

READS = frozenset(
    {
        "read", "recall", "find", "history", "explain", "check", "read_blob", "audit", "provenance", "decisions",
        "attribute", "export", "review", "use", "deliver", "try_policy", "adopted_policy",
    }
)  # fmt: skip
DELETIONS = frozenset({"forget", "erase_keys"})
GOVERNING = frozenset({"hold", "release", "policy", "publish", "quarantine", "relabel", "rotate_keys"})
KINDS = ("accesses", "writes", "denials", "policy revisions", "deletions")

_STYLE = """body{font:11pt/1.45 Georgia,serif;max-width:48rem;margin:2rem auto;color:#111;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;border-bottom:1px solid #999;margin-top:2rem}
table{border-collapse:collapse;width:100%;font:9.5pt/1.4 Helvetica,Arial,sans-serif}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #ddd;overflow-wrap:anywhere}
td.n,th.n{text-align:right}tr{break-inside:avoid}thead{display:table-header-group}
@page{margin:18mm}@media print{body{margin:0;max-width:none;padding:0}h2{break-after:avoid}}"""

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def kind_of(record: AuditRecord) -> str:
    """Which of `KINDS` a record belongs to."""
    if record.outcome is Outcome.DENIED:
        return "denials"
    if record.operation in READS:
        return "accesses"
    if record.operation in DELETIONS:
        return "deletions"
    return "policy revisions" if record.operation in GOVERNING else "writes"


class ComplianceReport(Value):
    """What the log of one tenant says of a time span: the entries in question, and the log's head when it was made."""

    tenant: str
    made_at: Moment
    since: Moment | None = None
    until: Moment | None = None
    head: str = ""
    verified: bool = False
    entries: tuple[AuditEntry, ...] = ()

    def markdown(self) -> str:
        """The report as Markdown."""
        lines = ["# Memory compliance report", "", *(f"- {said}" for said in self._facts()), ""]
        for title, names, rows in self._tables():
            lines += [f"## {title}", ""]
            if rows:
                lines += [_row(names), _row(["---"] * len(names)), *map(_row, rows), ""]
            else:
                lines += ["None.", ""]
        return "\n".join(lines)

    def html(self) -> str:
        """The report as one HTML page; it loads nothing and runs nothing."""
        facts = "".join(f"<li>{escape(said)}</li>" for said in self._facts())
        body = [f"<h1>Memory compliance report</h1><ul>{facts}</ul>"]
        for title, names, rows in self._tables():
            body.append(f"<h2>{escape(title)}</h2>")
            if not rows:
                body.append("<p>None.</p>")
                continue
            head = "".join(_cell("th", name, name in KINDS) for name in names)
            cells = ("".join(_cell("td", cell, cell.isdigit()) for cell in row) for row in rows)
            body.append(
                f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{c}</tr>' for c in cells)}</tbody></table>"
            )
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Memory compliance report</title>'
            f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
        )

    def _facts(self) -> list[str]:
        span = f"{_when(self.since) or 'the beginning'} until {_when(self.until) or _when(self.made_at)}"
        found = Counter(kind_of(entry.record) for entry in self.entries)
        state = "intact" if self.verified else "NOT intact, or not checked: see `memos audit verify`"
        return [
            f"Tenant: {self.tenant}",
            f"Period: {span}",
            f"Made: {_when(self.made_at)}",
            f"Log: {state}; head {self.head or 'unknown'}",
            ", ".join(f"{kind}: {found[kind]}" for kind in KINDS),
        ]

    def _tables(self) -> Iterable[Table]:
        records = [entry.record for entry in self.entries]
        yield "By day (UTC)", ("day", *KINDS), _counted((f"{each.at:%Y-%m-%d}", kind_of(each)) for each in records)
        yield "By subject", ("subject", *KINDS), _counted((each.actor, kind_of(each)) for each in records)
        for kind in ("denials", "policy revisions", "deletions"):
            rows = [_listed(entry) for entry in self.entries if kind_of(entry.record) == kind]
            yield kind.capitalize(), ("entry", "time", "subject", "operation", "memory", "owner", "reason"), rows


def _counted(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    found: dict[str, Counter[str]] = {}
    for name, kind in pairs:
        found.setdefault(name, Counter())[kind] += 1
    return [(name, *(str(found[name][kind]) for kind in KINDS)) for name in sorted(found)]


def _listed(entry: AuditEntry) -> tuple[str, ...]:
    said = entry.record
    about = (said.actor, said.operation, said.cube_id or "", said.owner or "", said.reason or _revision(said))
    return (str(entry.number), _when(said.at), *about)


def _revision(said: AuditRecord) -> str:
    """What a change of rules or keys says of itself; the details of others could hold words of a memory."""
    detail = said.detail or {}
    if said.operation == "policy":
        rules = ", ".join(str(each) for each in detail.get("rules") or ()) or "no rules"
        return f"{detail.get('before') or 'none'} -> {detail.get('after') or 'none'}: {rules}"
    if said.operation == "rotate_keys":
        return f"{detail.get('from')} -> {detail.get('to')}"
    return ""


def _when(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _row(cells: Iterable[str]) -> str:
    # A name may hold anything; it must not break the table or become markup where Markdown is shown as HTML.
    return "| " + " | ".join(escape(" ".join(cell.split())).replace("|", "\\|") for cell in cells) + " |"


def _cell(tag: str, text: str, number: bool) -> str:
    kind = ' class="n"' if number else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
