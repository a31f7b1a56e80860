"""What the demo tells: a conversation, who may know what of it, and questions with the messages that answer them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from memos_integrations.core.access import Principal
from memos_integrations.core.conversation import Conversation


class Question(NamedTuple):
    """A question, and the ids of the messages that answer it (none known: whatever is recalled will do)."""

    text: str
    answered_by: tuple[str, ...] = ()


class Story(NamedTuple):
    """A conversation of `teller`, who asks `questions`. `other` asks `probes` and must get none of `hidden`."""

    conversation: Conversation
    teller: Principal
    other: Principal
    readers: tuple[str, ...]
    questions: tuple[Question, ...]
    probes: tuple[str, ...]

    @property
    def hidden(self) -> frozenset[str]:
        """Ids of the messages that `other` may not see."""
        shared = bool(self.readers)
        return frozenset(
            message.id
            for message in self.conversation.messages
            if message.private or not (shared or {self.other.subject, "*"} & {*message.readers})
        )


SECRET = Question("Which job offer does Mira have, and has she decided to take it?", ("s3:8", "s5:9"))


def heron() -> Story:
    """Two people, a narrowboat and an assistant, over five months; all of it made up."""
    with resources.as_file(resources.files("memos_integrations.cli") / "heron.json") as path:
        conversation = Conversation.load(path)
    return Story(
        conversation=conversation,
        teller=Principal(tenant="demo", user="mira"),
        other=Principal(tenant="demo", user="jonas"),
        readers=("jonas",),
        questions=(
            Question("Who has the spare key of the Heron?", ("s1:5",)),
            Question("When is the hull survey?", ("s2:1",)),
            Question("At which berth does the Heron lie now?", ("s3:5",)),
            Question("What did we decide about the paint in March 2026?", ("s2:7",)),
            Question("What is aunt Vera allergic to?", ("s4:5",)),
            SECRET,
        ),
        probes=(SECRET.text, "Trieste"),
    )


def of_file(path: Path, sample: str | None, asked: Sequence[str], teller: Principal) -> Story:
    """The story of a conversation from a file: all of it is its teller's, and the other is a stranger."""
    return Story(
        conversation=Conversation.load(path, sample=sample),
        teller=teller,
        other=Principal(tenant=teller.tenant, user=f"not-{teller.user}"),
        readers=(),
        questions=tuple(Question(text) for text in asked),
        probes=tuple(asked),
    )
