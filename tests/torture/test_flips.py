"""One bit of one file of the folder is flipped: every answer afterwards is the right one, or an error of ours."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from memos_integrations.core.cube import State
from memos_integrations.core.errors import MemOSError
from memos_integrations.core.ports import Edge, LogQuery, Move, Use
from memos_integrations.testing.cubes import (
    EMBEDDER,
    NOW,
    asked,
    cube,
    link,
    revised,
    seen_by,
    stored,
    submit,
    unit,
)
from memos_integrations.testing.vault_blobs import beside, content_of
from memos_integrations.vaults.sqlite import SQLiteVault
from tests.torture.sizes import seed, sizes

Answers = dict[str, Callable[[SQLiteVault], Any]]


def filled(folder: Path) -> Answers:
    """A vault with something in every table and file, and questions about all of it."""
    with SQLiteVault(folder) as vault:
        vault.bind_embedder(EMBEDDER)
        cubes = [
            stored(
                vault,
                cube(
                    f"kettle {number} {'blue' if number % 3 else 'red'}",
                    tags=("tea",) if number % 2 else (),
                    purposes=("care",) if number % 7 == 0 else (),
                    namespace=("acme", "a" if number % 5 else "b"),
                    links=(link("follows", "start"),) if number % 4 == 0 else (),
                    quarantined=number == 11,
                    expires_at=NOW if number == 12 else None,
                ),
                vector=unit(number),
                key=f"k{number}",
                readers=("user:ana", "user:bob") if number % 2 else ("user:ana",),
            )
            for number in range(40)
        ]
        stored(vault, revised(cubes[3], "kettle 3 green"), vector=unit(103))
        submit(vault, Use(cubes[5].id, NOW, "r"), Move(cubes[6].id, State.GENERATED, State.ARCHIVED))
        stored(vault, cube("kettle", namespace=("other",)), vector=unit(3))
        picture = stored(vault, beside(vault.put_blob(b"pixels" * 50), "kettle picture"), vector=unit(60))
        asked(vault, vector=unit(3))
    ids = [each.id for each in cubes]
    ana, bob = seen_by("user:ana"), seen_by("user:bob")

    def search(by: Any, terms: str = "", seed: int | None = None, **f: Any) -> Callable[[SQLiteVault], Any]:
        def ask(vault: SQLiteVault) -> Any:
            found = asked(vault, terms, k=7, vector=None if seed is None else unit(seed), by=by, **f)
            return found.matches, found.visible

        return ask

    return {
        "get": lambda vault: vault.get("acme", ids),
        "get elsewhere": lambda vault: vault.get("other", ids),
        "history": lambda vault: vault.history("acme", ids[3]),
        "keys": lambda vault: [vault.find_key("acme", f"k{number}") for number in (0, 7, 39, 40)],
        "edges": lambda vault: [edge for edge in vault.pointing_at("acme", ["start"]) if isinstance(edge, Edge)],
        "blob": lambda vault: content_of(vault.open_blob(picture.blobs[0])),
        "latest, ana": search(ana),
        "latest, bob": search(bob),
        "words, ana": search(ana, "blue kettle"),
        "words, bob": search(bob, "red 9"),
        "vector, ana": search(ana, seed=3),
        "vector, bob": search(bob, seed=3),
        "both": search(ana, "green", seed=103),
        "tags": search(ana, "kettle", tags=("tea",)),
        "namespace": search(ana, namespace=("acme", "b")),
        "purpose": search(seen_by("user:ana", now=NOW)),
        "archived": search(ana, states=frozenset({State.ARCHIVED})),
        "log": lambda vault: vault.log(LogQuery(tenant="acme", limit=5)),
        "events": lambda vault: vault.events(0),
        "unembedded": lambda vault: vault.unembedded(5),
        "embedder": lambda vault: vault.embedder(),
    }


@sizes("FLIPS", quick=150, whole=2_000)
def test_a_flipped_bit_gives_the_right_answer_or_an_error_of_ours(tmp_path: Path, count: int) -> None:
    clean, damaged, random = tmp_path / "clean" / "vault", tmp_path / "damaged", Random(seed() + 2)
    questions = filled(clean)
    with SQLiteVault(clean) as vault:
        right = {name: ask(vault) for name, ask in questions.items()}
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    for _ in range(count):
        shutil.copytree(clean, damaged)
        file = random.choice(sorted(each for each in damaged.rglob("*") if each.is_file()))
        content = bytearray(file.read_bytes())
        written = [place for place, byte in enumerate(content) if byte]  # most of a database is empty pages
        place = random.choice(written) if written and random.random() < 0.7 else random.randrange(len(content))
        bit = random.randrange(8)
        content[place] ^= 1 << bit
        file.write_bytes(content)
        answers = ask_all(damaged, questions, seen)
        bad = [name for name, answer in answers.items() if answer != right[name]]
        if bad:
            wrong.append(f"{file.relative_to(damaged)} byte {place} bit {bit}: {', '.join(bad)}")
        seen[f"in {file.name[:8]}"] += 1
        shutil.rmtree(damaged)
    print(f"\n{count} flips (seed {seed()}): {len(wrong)} wrong answers; {dict(seen)}")
    assert not wrong, "\n".join(wrong)


def ask_all(folder: Path, questions: Answers, seen: Counter[str]) -> dict[str, Any]:
    """The answers that were given; errors of ours are counted, any other error goes through."""
    answers: dict[str, Any] = {}
    try:
        with SQLiteVault(folder) as vault:
            for name, ask in questions.items():
                try:
                    answers[name] = ask(vault)
                except MemOSError:
                    seen["refused"] += 1
                else:
                    seen["answered"] += 1
    except MemOSError:
        seen["not opened"] += 1
    return answers


def test_an_id_edited_in_its_row_or_in_the_index_alone_is_refused(tmp_path: Path) -> None:
    clean, damaged = tmp_path / "clean" / "vault", tmp_path / "damaged"
    questions = filled(clean)
    with SQLiteVault(clean) as vault:
        right = questions["get"](vault)
    whole = (clean / "vault.db").read_bytes()
    cube_id = right[7].id.encode()
    places = [place for place in range(len(whole)) if whole.startswith(cube_id, place)]
    rows = [place + 5 for place in places if whole.startswith(b"generatedplain", place + len(cube_id))]
    leaves = [place + len(cube_id) for place in places if whole[place // 4096 * 4096] == 10]
    assert rows, "the table's row"
    assert leaves, "the index's entry, which ends with the number of the row"
    for place in rows + leaves:
        content = bytearray(whole)
        content[place] ^= 1
        shutil.copytree(clean, damaged)
        (damaged / "vault.db").write_bytes(content)
        answers = ask_all(damaged, {"get": questions["get"]}, Counter())
        assert answers.get("get", right) == right
        assert place not in rows or not answers, "the row is read, not what the index says of it"
        shutil.rmtree(damaged)


def test_a_label_that_names_another_cube_in_its_place_is_refused(tmp_path: Path) -> None:
    clean, damaged = tmp_path / "clean" / "vault", tmp_path / "damaged"
    questions = filled(clean)
    asked_of = {"namespace": questions["namespace"]}
    with SQLiteVault(clean) as vault:
        right = asked_of["namespace"](vault)
    whole = (clean / "vault.db").read_bytes()
    row = bytes((14, 4, 1, 1, 6, 26, 4))  # cube 26, a namespace: where SQLite looks for the cube, it asks no further
    places = [place + 5 for place in range(len(whole)) if whole.startswith(row, place)]
    assert places
    for place in places:
        content = bytearray(whole)
        content[place] ^= 2
        shutil.copytree(clean, damaged)
        (damaged / "vault.db").write_bytes(content)
        assert ask_all(damaged, asked_of, Counter()).get("namespace", right) == right
        shutil.rmtree(damaged)
