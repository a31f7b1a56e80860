"""Names in running text: people, places, works, acronyms, handles and addresses, found by how they are written."""

from __future__ import annotations

import re

from memos_integrations.core.text.words import STOP_WORDS, fold, sentences

_ADDRESS = re.compile(
    r"https?://[^\s<>\"')\]]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+|(?<![\w@])@\w{2,40}"
)
_TOKEN = re.compile(r"[^\W_]+(?:[-'’.&](?=[^\W_])[^\W_]+)*")  # noqa: RUF001
LONGEST_NAME = 1_000  # letters
_POSSESSIVE = re.compile(r"['’]s?$|['’](?:s|d|ll|re|ve|m)$", re.IGNORECASE)  # noqa: RUF001
_INITIALS = re.compile(r"(?:[A-Z]\.)*[A-Z]")
_JOINERS = frozenset("of de da del della la le van von der den di du bin al".split())
_TITLES = frozenset("mr mrs ms dr prof sir st aunt uncle".split())

CALENDAR_NAMES = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday mondays tuesdays wednesdays thursdays fridays saturdays
    sundays january february march april may june july august september october november december
    mon tue tues wed thu thur thurs fri sat sun jan feb mar apr jun jul aug sep sept oct nov dec
    """.split()
)
_NOT_NAMES = frozenset("i ok okay am pm utc gmt lol omg btw fyi asap tbh imo ps tv hi hello hey mr mrs ms dr".split())

# Words that open a sentence with a capital and seldom begin a name.
_OPENERS = STOP_WORDS | frozenset(
    """
    please thanks thank hi hello hey bye goodbye dear yes yeah yep yup no nope ok okay oh wow whoa woah haha hmm ah aww
    absolutely exactly totally definitely right well sure maybe perhaps actually recently finally
    unfortunately luckily hopefully honestly apparently really basically currently originally previously usually
    probably lately initially eventually sadly today tomorrow yesterday tonight now later soon once since before after
    although though unless whether despite without within along good great nice congrats congratulations happy sorry
    ask tell remind show find give get make write draft compare summarise summarize recap forget remember delete remove
    erase update change correct replace add save note list meet call email visit see read check look search explain
    describe translate define let help use set send buy book bring take keep plan try stop start go will may people
    everyone new old my many most more few several one two three first last next another
    """.split()
)
# A capitalised opener before one of these is most likely a person: "Noor went", "Ana loves".
_PERSONAL_VERBS = frozenset(
    """
    said says told tells thinks thought likes liked loves loved hates hated prefers preferred lives lived works worked
    wants wanted went goes got called calls met married asked bought visited moved plays played studies studied wrote
    joined left started teaches teaches taught knows knew gave sent hopes hoped enjoys enjoyed
    rang phoned texted emailed messaged replied
    """.split()
)
_NOT_PERSONS = frozenset("people dinner lunch breakfast work school nothing everything life weather".split())


def entities(text: str) -> tuple[str, ...]:
    """Names as they stand in the text, in order, each once (however it is capitalised the second time).

    Found: capitalised words and runs of them ("University of Vienna", "Dr. Okafor"), acronyms, mixed-case names
    ("LangChain"), @handles, e-mail addresses and URLs. Left out: weekdays, months, "I", and a capitalised word whose
    only reason may be that a sentence begins there. A sentence all in capitals gives none of the former. Nothing of
    more than 1,000 letters is a name.
    """
    if text.isascii() and "@" not in text and "://" not in text and text == text.lower():
        return ()
    addresses = [match.group().rstrip(".,;:!?") for match in _ADDRESS.finditer(text)]
    plain = _ADDRESS.sub(" , ", text) if addresses else text
    certain: list[str] = []
    in_order: list[tuple[str, bool]] = []
    for sentence in sentences(plain):
        names, maybe = _sentence_names(sentence)
        certain += names
        in_order += [(name, False) for name in maybe] + [(name, True) for name in names]
    sure = {fold(part) for name in certain for part in (name, *name.split())}
    wanted = [name for name, is_sure in in_order if is_sure or fold(name) in sure]
    first: dict[str, tuple[int, str]] = {}
    for position, name in [*_places(text, addresses), *_places(text, wanted)]:
        if len(name) <= LONGEST_NAME:
            first.setdefault(fold(name), (position, name))
    return tuple(name for _, name in sorted(first.values()))


def _places(text: str, names: list[str]) -> list[tuple[int, str]]:
    """Where each of *names*, which stand in reading order, is found in the text."""
    places: list[tuple[int, str]] = []
    at = 0
    for name in names:
        at = max(text.find(name, at), at)
        places.append((at, name))
    return places


def _sentence_names(sentence: str) -> tuple[list[str], list[str]]:
    """The names of one sentence, and the opening word if it might be one when seen elsewhere."""
    tokens = list(_TOKEN.finditer(sentence))
    letters = [token.group() for token in tokens if token.group()[0].isalpha()]
    if len(letters) > 2 and all(word.isupper() for word in letters):
        return [], []
    names: list[str] = []
    maybe: list[str] = []
    at = 0
    while at < len(tokens):
        run = _run_at(sentence, tokens, at)
        if run == at:
            at += 1
            continue
        begin = at
        while begin < run and _is_opener(sentence, tokens, begin):
            begin += 1
        if begin < run:
            name = _POSSESSIVE.sub("", sentence[tokens[begin].start() : tokens[run - 1].end()])
            opens = begin == at and run - begin == 1 and _opens_sentence(sentence, tokens, begin)
            target = maybe if opens and not _is_name_even_so(name, sentence, tokens, begin) else names
            if fold(name) not in _NOT_NAMES and (fold(name) not in STOP_WORDS or name.isupper()):
                target.append(name)
        at = run
    return names, maybe


def _run_at(sentence: str, tokens: list[re.Match[str]], at: int) -> int:
    """The index after the run of name words that begins at *at*; *at* itself when none does."""
    if not _is_capitalised(tokens[at].group()):
        return at
    run = at + 1
    while run < len(tokens):
        gap = sentence[tokens[run - 1].end() : tokens[run].start()]
        previous = tokens[run - 1].group()
        is_title = gap == ". " and (previous.lower() in _TITLES or _INITIALS.fullmatch(previous) is not None)
        if (gap != " " and not is_title) or _POSSESSIVE.search(previous):
            break
        if _is_capitalised(tokens[run].group()):
            run += 1
        elif tokens[run].group() in _JOINERS and _joins(sentence, tokens, run):
            run += 2 if _is_capitalised(tokens[run + 1].group()) else 3
        else:
            break
    return run


def _joins(sentence: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether the small word at *at* ("of", "de la", "of the") links to a capitalised one."""
    following = [token.group() for token in tokens[at + 1 : at + 3]]
    if not following or sentence[tokens[at].end() : tokens[at + 1].start()] != " ":
        return False
    if _is_capitalised(following[0]):
        return True
    return len(following) == 2 and following[0] in {"the", "la", "der"} and _is_capitalised(following[1])


def _is_capitalised(word: str) -> bool:
    if word.islower():
        return False
    bare = _POSSESSIVE.sub("", word)
    lower = bare.lower()
    if not any(letter.isupper() for letter in bare) or lower in CALENDAR_NAMES or lower == "i":
        return False
    return bare[0].isupper() or (bare[0].isalpha() and len(bare) > 2 and not bare[1:].islower())


def _is_opener(sentence: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether a capitalised word is an ordinary one: at the opening of a sentence, or never a name."""
    word = fold(tokens[at].group())
    if word in _NOT_NAMES and word not in _TITLES:
        return True
    if not _opens_sentence(sentence, tokens, at):
        return False
    return word.replace("'", "") in _OPENERS or word.split("'")[0] in _OPENERS or word.endswith("ing")


def _opens_sentence(sentence: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether nothing but openers stands before the word, or a colon or quotation mark does."""
    before = sentence[max(0, tokens[at].start() - 8) : tokens[at].start()].rstrip(" ")
    return not before or before[-1] in ':"“(-–—*•' or (at > 0 and at < 3 and _only_openers(tokens[:at]))  # noqa: RUF001


def _only_openers(tokens: list[re.Match[str]]) -> bool:
    return all(token.group()[0].isupper() and fold(token.group()) in _OPENERS for token in tokens)


def _is_name_even_so(name: str, sentence: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether an opening word shows by its form or its neighbours that it is a name."""
    raw = tokens[at].group()
    if sum(letter.isupper() for letter in name) > 1 or at > 0:
        return True
    if fold(name) in _NOT_PERSONS:
        return False
    if raw.lower().endswith(("'s", "’s")):  # noqa: RUF001
        return True
    following = tokens[at + 1].group() if at + 1 < len(tokens) else ""
    if _opens_list(sentence, tokens, at):
        return True
    if following == "and" and at + 2 < len(tokens):
        return _is_capitalised(tokens[at + 2].group())
    return following in _PERSONAL_VERBS


def _opens_list(sentence: str, tokens: list[re.Match[str]], at: int) -> bool:
    """Whether a list of names begins: "Ana, Bob and Cy"."""
    if at + 3 >= len(tokens) or tokens[at + 2].group() != "and":
        return False
    is_listed = sentence[tokens[at].end() : tokens[at + 1].start()] == ", "
    return is_listed and all(_is_capitalised(tokens[place].group()) for place in (at + 1, at + 3))
