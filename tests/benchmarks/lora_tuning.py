"""What recipes of adapters are tuned on, so that the benchmark stays unseen: other people, facts and questions.

    python tests/benchmarks/lora_tuning.py [--seed 0] [--recipe '{"apart": 0.1}']

Nobody and nothing here is asked by `lora.py` or by the gates, and no question is trained. One JSON row: recall on
held-out and taught phrasings, general questions lost and gained, perplexity on texts of its own, CPU seconds.

What led to the recipe (seed 0, bfloat16; of 470 lessons those in which some token is not the likeliest, of the answers
to the general questions the mean divergence from the model's own; one seed, where one question is chance):

    steps  mended  retain  strength   held-out  lessons off  divergence  lost / gained of 56
    44     0       2       1.0        0.93      25           0.061       0 / 4
    44     0       2       0.85       0.90      25           0.047       2 / 4
    44     0       2       0.7        0.87      27           0.034       2 / 2
    44     8       2, 4    0.7        0.88      18           0.031       2 / 4

The lessons off are nearly all of the kind "backwards". With seed 0 again, 34 steps and retain 3, weakened to 0.85 (in
the first row, where the steps that mend are a fifth of the largest, 0.8; in the others they are four fifths):

    mended                                                            lessons off, before and after
    24, only what is unsure                                           32, 19
    30, only what is unsure                                           19, 56: 40 "about", which were known
    30, falling, a third of what was doubted, `BACK` as the answer    -, 2

After 24 of the last row's: held-out 0.90, 99 of 100 taught, perplexity +0.1 %, 2 / 1 of 56. In the defaults, steps that
mend stay large until the last third, and "backwards" has eight turns. With 20, on a busy machine (this command):

    seed  taught  held-out  perplexity  lost / gained of 56  CPU s
    0     0.96    0.82      +0.7 %      0 / 2                177
    1     1.00    0.98      +1.6 %      4 / 2                167

Seed 0 once more, one training, looked at on its way (divergence as above; of 470 lessons those with a token of less
than 0.5, and how many of these are "backwards"):

    after                                    divergence  lost / gained of 56  unsure (backwards)
    34 planned steps, full strength          0.058       2 / 3                69 (20 of 20)
    weakened to 0.85                         0.045       3 / 1                79 (20)
    20 steps that mend                       0.037       3 / 2                34 (18)
    the same, weights averaged (0.85 a step) 0.037       2 / 1                44 (18)

Of 96 general questions that are trained, 26 had strayed before mending and 2 after; those of this file change all the
same. Averaging weights changes no less of them.

The benchmark with 30, three seeds: taught 1.00, held-out 0.89, lost 6.2 % of 48 and as many gained, 229 CPU s: who
mends longer knows more of what was taught, and more of the rest changes.

The recipe as it is, and the adapter made quieter at its end (`quiet` 1; general text: what the defaults listen to, and
169 questions more). Divergence and losses on 172 questions, those of this file and others, of which 91 were answered
right; lessons off of every second lesson:

    seed  quiet  divergence  lost / gained of 172  held-out  lessons off
    0     0      0.035       6 / 4                 0.78      2 of 235
    0     1      0.019       4 / 5                 0.78      2
    1     0      0.031       6 / 8                 0.95      0 of 225
    1     1      0.020       7 / 8                 0.95      0

(Seed 1 was made quieter before it mended, too, and not weakened: what mends undoes that. Where that adapter was
weakened besides, 24 of 225 lessons of seed 3 were off at the end, so now one that unsettles lessons is taken back.)
How far the model is moved halves; how many questions are lost hardly does: they are few, and close calls.

With the 260 questions of `lora_general.py` (129 answered right), on a busy machine; lessons off are those of about 450
with a token of less than 0.5, and how many of these have one that is not the likeliest:

    seed  recipe                                                  divergence  lost / gained  held-out  off (wrong)
    11    with 96 questions, 30 steps that mend, quiet 1          0.016       15 / 10        0.93      4 (0)
    11    320 questions, four a step, quieter but for what all    0.010       11 / 7         0.97      11 (1)
          prompts begin with
    12    with 96, 30 and 1                                       0.034       18 / 10        0.82      25 (23)
    12    200 questions, three a step, 18 steps that mend, then   0.015       12 / 7         0.63      11 (2)
          quieter, then 10 steps within what that left
    12    with 96, 30 and 1, all looked at late in mending        0.020       10 / 9          0.83      13 (5)

More questions and a quieter adapter lose fewer, but the last but one forgot phrasings that were not taught, so it is
not the recipe. The quiet alone is not why: the adapter of the third row, made so, keeps 0.80. That one's training told
that no lesson was left: those off had been clear, and were forgotten while it mended; and as none was left before, to
make it quieter was taken back, by its divergence. Hence the look at all of them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.lora import Question, faster_dtype
from tests.benchmarks.lora_general import GENERAL
from tests.benchmarks.meta import single_threaded

FIRST = (
    "Agnes Bertil Cosima Dagny Edgar Frieda Gustav Hilda Ingmar Jolanda Kasimir Leonie Magnus Nadja Otmar Paula "
    "Quentin Rosalind Sigrid Tilda Ulrich Viola Walther Xenia Yorick Zelda"
).split()
LAST = (
    "Abernathy Boswell Cromwell Dunmore Ellery Fairfax Granger Holloway Ives Jarrold Kettle Lockhart Mercer Norwood "
    "Oakley Prescott Radley Stanhope Thackeray Upton Verney Whitlock Yarrow Zeller"
).split()
CITIES = (
    "Madrid Vienna Boston Chicago Hamburg Milan Toronto Sydney Seattle Zurich Munich Budapest Denver Glasgow Seoul "
    "Mumbai Delhi Brussels Marseille Venice"
).split()
TOOLS = (
    "violin trumpet guitar flute piano drum harp banjo clarinet cello accordion tuba saxophone organ trombone "
    "mandolin oboe lute harmonica ukulele"
).split()
FOODS = (
    "pizza sushi lasagna curry pancakes soup chocolate cheese salad burgers noodles tacos pasta sandwich steak salmon "
    "cake rice waffles omelette"
).split()
JOBS = (
    "teacher nurse baker lawyer farmer pilot chef carpenter dentist plumber painter singer driver waiter tailor "
    "surgeon butcher librarian electrician gardener"
).split()
KINDS = {
    "city": (
        "{who} lives in {v}.",
        CITIES,
        (
            "Which place is home to {who}?",
            "Where would I have to travel to see {who} at home?",
            "What is the hometown of {who}?",
        ),
    ),
    "job": (
        "{who} works as a {v}.",
        JOBS,
        ("What is the profession of {who}?", "How does {who} earn money?", "Which job does {who} do?"),
    ),
    "tool": (
        "{who}'s instrument is a {v}.",
        TOOLS,
        (
            "Which instrument does {who} play?",
            "What does {who} make music with?",
            "If {who} gave a concert, on what would it be played?",
        ),
    ),
    "food": (
        "{who}'s favourite food is {v}.",
        FOODS,
        ("What does {who} like to eat most?", "Which dish should I cook for {who}?", "What meal makes {who} happy?"),
    ),
}
"""How each kind of fact is told, its values, and what is asked about it that is never taught."""
TEXTS = (
    "Honey never spoils if it is kept dry. Pots of it have been found in old tombs, and what was inside could "
    "still be eaten after thousands of years.",
    "The teacher handed back the essays and explained that most pupils had written well, but had forgotten to "
    "give reasons for their opinions.",
    "Steel is made from iron and a little carbon. It is stronger than iron alone, and can be rolled into sheets, "
    "drawn into wire or cast into moulds.",
    "After the snow had melted, the farmers repaired their fences and let the cattle out onto the meadows for the "
    "first time that year.",
    "A database keeps records in tables. Each row describes one thing, and each column holds one property of all "
    "of them.",
    "The orchestra tuned their instruments while the audience found their seats. Then the lights went down and "
    "the conductor raised his hands.",
    "Vaccines teach the body to recognise a disease before it meets it. Most of them need to be given more than "
    "once to work well.",
    "The tide comes in twice a day on most coasts, because the moon pulls at the water as the Earth turns below it.",
    "She wrote to the company to complain about the delay, and asked for her money back unless the parcel arrived "
    "before Friday.",
    "Roman roads were built in layers: large stones at the bottom, gravel above, and flat slabs on the top, "
    "slightly curved so that rain ran off.",
    "In chess, a pawn that reaches the far side of the board becomes any other piece, and almost everybody "
    "chooses the queen.",
    "The new law requires shops to take back empty bottles, and to pay a small deposit for each of them.",
)


def told(seed: int) -> tuple[list[str], list[Question]]:
    """The facts of a seed, two about each of ten people, and what is asked about them with the right answers."""
    chance = random.Random(77_000 + seed)
    people = [" ".join(pair) for pair in zip(chance.sample(FIRST, 10), chance.sample(LAST, 10), strict=True)]
    facts, questions = [], []
    for kind in ("city", "tool") if seed % 2 == 0 else ("job", "food"):
        form, pool, asked = KINDS[kind]
        for who, value in zip(people, chance.sample(pool, 10), strict=True):
            facts.append(form.format(who=who, v=value))
            questions += [(each.format(who=who), value) for each in asked]
    return facts, questions


def measured(seed: int, changed: dict[str, object]) -> dict[str, object]:
    """One adapter, trained by the recipe as it is changed."""
    from memos_integrations import MemOS, Principal
    from memos_integrations.backends.huggingface import HuggingFaceModel
    from memos_integrations.backends.lora import AdapterStore, Gates, ParameterMemory, Recipe, lessons_of
    from memos_integrations.backends.lora.gates import CANDIDATE, Trial, holds, perplexity
    from memos_integrations.backends.weights import model_folder
    from memos_integrations.vaults.memory import InMemoryVault

    model = HuggingFaceModel(model_folder("smollm2"), dtype=faster_dtype())
    facts, questions = told(seed)
    everything = Gates(taught=0, probes=0, perplexity_pct=1e9, lost_pct=100, neighbours=0)
    recipe = Recipe.model_validate({"seed": seed, **changed})
    with tempfile.TemporaryDirectory() as kept, MemOS(InMemoryVault()) as memos:
        cubes = memos.remember_many(facts, by=Principal(tenant="bench", user="bench"))
        with ParameterMemory(AdapterStore(model, kept), recipe=recipe, gates=everything) as memory:
            made = memory.learn(cubes)
            trial = Trial(model)
            before = trial.answers([text for text, _ in GENERAL], None, 16)
            plain = perplexity(trial.network, model, TEXTS)
            trial.load(CANDIDATE, made.folder)
            after = trial.answers([text for text, _ in GENERAL], CANDIDATE, 16)
            said = trial.answers([text for text, _ in questions], CANDIDATE, 20)
            trial._apply(CANDIDATE)
            changed_by = perplexity(trial.network, model, TEXTS) / plain
            taught = random.Random(seed).sample(list(lessons_of(cubes).taught), 72)
            recall_taught = trial.recall(taught, CANDIDATE)
    right = [
        (holds(was, value), holds(now, value)) for was, now, (_, value) in zip(before, after, GENERAL, strict=True)
    ]
    return {
        "seed": seed,
        "recipe": changed,
        "steps": made.training["steps"],
        "train_cpu_s": made.training["cpu_s"],
        "scale": made.training["scale"],
        "recall_train": recall_taught,
        "recall_heldout": sum(holds(each, (value,)) for each, (_, value) in zip(said, questions, strict=True))
        / len(questions),
        "general_questions": len(GENERAL),
        "general_turned_wrong": sum(was and not now for was, now in right),
        "general_turned_right": sum(now and not was for was, now in right),
        "perplexity_change_pct": 100.0 * (changed_by - 1.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", type=json.loads, default={})
    chosen = parser.parse_args()
    single_threaded()
    print(json.dumps(measured(chosen.seed, chosen.recipe)))


if __name__ == "__main__":
    main()
