"""What a prompt wants: the intent, the query inside it, and the kinds of memory that fit."""

from __future__ import annotations

import re

from memos_integrations.core.reader.call import Intent

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})  # noqa: RUF001
_I = re.IGNORECASE

_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|ok|okay|so|well|oh|and|also|um|right|thanks|thank you"
    r"|sorry|quick question|one more thing)"
    r"(?: (?:there|again|everyone|a lot|so much))?(?:[,.!:;-]+ ?|(?= (?:can|could|would|please|what|when|where|who"
    r"|why|how|which|do|did|does|is|are|was|were|tell|i)\b) ))+",
    _I,
)
_HELLO_NAME = re.compile(r"^(?:[Hh]i|[Hh]ello|[Hh]ey|HI|HELLO|HEY),? [A-Z]\w+[,.!] (?=\S)")
_POLITE = re.compile(
    r"^(?:please[, ]+|kindly |(?:can|could|would|will) (?:you|u)(?: (?:please|kindly|maybe|perhaps|possibly|quickly"
    r"|just|also))* (?:please )?"
    r"|would you mind |(?:i(?:'d| would) like|i want|i need|i wish) (?:you )?to |i(?:'d| would) like you to |(?:is it"
    r"|would it be) possible (?:for you )?to |(?:are you|would you be) able to "
    r"|could i (?:please )?(?:ask you to|have you) |let's |you (?:should|must|can|need to|may) (?:please )?(?=forget"
    r"|delete|erase|remove|update|change|summari)|go ahead and |help me (?:to )?(?=find|remember|recall|summari"
    r"|compare)|just )",
    _I,
)
_ASKING = re.compile(
    r"^(?:do you (?:still |happen to |even |actually )*(?:remember|recall|know)(?: (?:if|whether|that|about))?"
    r"|(?:tell|remind|show) (?:me|us)(?: again)?(?: (?:about|of|if|whether|everything about))?"
    r"|(?:find|look up|search for|search|retrieve|recall|list|get|look for)(?: (?:me|us))?|i(?:'m| am) (?:wondering"
    r"|curious|trying to (?:remember|recall|find))(?: (?:if|whether|about))?"
    r"|i (?:wonder|forgot|forget|can't remember|cannot remember|don't remember|can't recall)(?: (?:if|whether))?"
    r"|any idea|let me know(?: (?:if|whether))?|(?:in|from) your memory,?|(?:search|check) (?:your|my) (?:memory"
    r"|memories|notes) for|what do you know about"
    r"|what do you remember about|have i (?:ever )?(?:told|mentioned to) you(?: about)?|did i (?:ever )?(?:tell"
    r"|mention to) you(?: about)?)[ ,:]+(?=\S)",
    _I,
)
_TRAILING = re.compile(r"(?<![,; ])[,; ]++(?:please|thanks|thank you|thx|if you can|if possible|again)[.!? ]*$", _I)

_QUESTION = re.compile(
    r"^(?:what|what's|when|where|where's|who|who's|whom|whose|why|how|how's|which|do|does|did|is|are|am|was|were|has"
    r"|have|had|can|could|would|will|should|may|might|isn't|aren't|wasn't|weren't|didn't|don't you|doesn't)\b",
    _I,
)
_MEMORY = (
    r"\b(?:my|our|me|mine|everything|anything|all|what (?:i|we|you)|that (?:i|we|you|my|our)|memor(?:y|ies)|notes?"
    r"|fact|about|the (?:thing|address|number|name|date)|his|her|their|\w+'s|conversation|chat)\b|\b(?:this|that"
    r"|these|those)(?: \w+)?[.!? ]*$"
)
_MATERIAL = (
    r"\b(?:code|lines?|functions?|variables?|paragraphs?|sentences?|columns?|rows?|commas?|spaces?|branch|folder)\b"
)
_FORGET = re.compile(
    r"^(?:forget(?! (?:it|about it)\b *(?:$|[.,!;]))(?! to\b)|(?:delete|erase|remove|wipe|clear|drop|discard|purge"
    rf"|scrub|unlearn|get rid of)\b(?!.*{_MATERIAL})(?=.*(?:{_MEMORY}))"
    r"|stop (?:remembering|storing|keeping|saving)\b|don't (?:remember|store|keep|save|memori[sz]e)\b"
    r"|do not (?:remember|store|keep|save|memori[sz]e)\b|no longer (?:remember|store|keep)\b"
    r"|let go of my\b)\s*(?:about )?",
    _I,
)
_KEEP = re.compile(
    r"^(?:(?:always )?remember(?! (?:when|how|where|who|why|what|which|me\b|us\b|the time)\b)(?=.* (?:is|are|was|am"
    r"|'s|live|like|love|hate|prefer|work|have|has|need|want)\b|.*'[sm]\b| that\b| to\b)(?: that)?"
    r"|(?:don't|do not|never) forget(?: that)?|(?:please )?(?:note|keep in mind|bear in mind|take note)(?: that|:|,)?"
    r"|make a note(?: that| of|:)?|for (?:the record|your information|future reference),?|fyi[,:]?"
    r"|(?:save|store|record|memori[sz]e|write down|jot down)\b(?=.*\b(?:my|our|that|this|i|we)\b)(?: that)?)\s*",
    _I,
)
_CHANGE = re.compile(
    r"^(?:change|update|correct|replace|set|rename|switch|edit|amend|revise|overwrite|modify"
    rf"|fix)\b(?!.*{_MATERIAL})(?=.*(?:{_MEMORY}))\s*",
    _I,
)
_CHANGED = re.compile(
    r"^(?:actually|correction|update|small correction|no wait|wait|scratch that|on second thought|i (?:was wrong"
    r"|misspoke|made a mistake|meant))\b[,:. -]+(?=\S*\w)"
    r"|\b(?:my|our|his|her|their|the|\w+'s) (?:\w+ ){1,4}?(?:is|are|has|have) (?:now|changed|moved|become)\b"
    r"|\bmy new (?:\w+ ){1,4}?(?:is|are)\b"
    r"|^(?:i|we|he|she|they|[a-z]+) (?:now|no longer|have now|don't|doesn't|do not|does not) \w+.*\b(?:any ?more"
    r"|any longer)\b|\b(?:i|we|he|she|they|[a-z]+) (?:am |is |are |'m )?(?:no longer|now (?:live|work|prefer|use|like"
    r"|go|drive|own|have|study|want)s?)\b"
    r"|^no[,.] (?:my|our|his|her|i|i'm|it's|it is|he's|she's)\b|\bfrom now on\b|\b(?:i|we)(?:'ve| have)? (?:just "
    r"|recently |now )*(?:moved to|changed my|switched (?:to|from"
    r"|my)|renamed|got a new|started (?:a new|working)|quit|stopped)\b"
    r"|\b(?:it|that|he|she|my \w+)(?:'s| is) not .{1,60}[,;]? (?:it's|it is|but|he's|she's) "
    r"|\bmy (?:\w+ ){1,4}?(?:isn't|is not|aren't|wasn't) .{1,60}?[,;.] ?(?:it's|it is|but|they're|actually)\b"
    r"|\bnot .{1,60}\banymore\b|\binstead of\b.*\bnow\b|\bnow\b.*\binstead of\b|\bi(?:'m| am) now \w+",
    _I,
)
_SUMMARY = (
    r"(?:summary|summaries|recap|overview|digest|rundown|run-down|tl;?dr|synopsis|wrap-up|highlights|(?:key"
    r"|main) points"
    r"|(?:key )?takeaways|gist)"
)
_SUMMARISE = re.compile(
    r"^(?:(?:briefly |quickly |shortly )?(?:summari[sz]e|recap|sum up|condense|outline)\b|(?:catch me up"
    r"|bring me up to (?:speed|date)|fill me in|give me the gist)(?: (?:on|about|of|with))?\b"
    r"|(?:give|write|make|create|prepare|produce|provide|show|send|draft|get|do|have|i (?:want|need)|i(?:'d"
    rf"| would) like)(?: me| us)?(?: (?:a|an|the|some))?(?: [\w-]+){{0,3}}? {_SUMMARY}\b(?: (?:of|on|about|from|for))?"
    rf"|(?:a |an |the )?(?:[\w-]+ ){{0,2}}?{_SUMMARY}(?: (?:of|on|about|from|for)\b|$|:)|tl;?dr\b|what (?:are"
    r"|were) the (?:main|key|most important) (?:points|takeaways|themes|topics|highlights)(?: (?:of|from|in))?\b"
    rf"|what(?:'s| is| was) the (?:gist|{_SUMMARY})(?: of)?\b|what (?:are|were) the (?:takeaways|highlights)(?: (?:of"
    r"|from))?\b)\s*(?::\s*)?",
    _I,
)
_COMPARE = re.compile(
    r"^(?:compare|contrast)\b|\bcompar(?:e|es|ed|ing|ison)\b|\bdiffer(?:s|ed)?\b"
    r"|\bdifferences?\b(?!.*\bmade?\b)(?=.* (?:between|from|of|in|to|with)\b)|\bdifferent (?:from|to|than)\b"
    r"|\bversus\b|\bvs\b\.?|\bsimilarit(?:y|ies)\b"
    r"|\b(?:have|has|had|share) (?:\w+ )?in common\b|\bsimilar to\b|\bpros and cons\b|\b(?:better|worse|cheaper|older"
    r"|younger|bigger|smaller|taller|faster|longer|shorter|more|less)\b[^.!?]*\bthan\b(?=[^.!?]*\?)"
    r"|\b(?:which|who|what)(?:'s| is| was| of|\b)[^.!?]*\b(?:better|worse|best|cheaper|older|younger|bigger|smaller"
    r"|taller|faster|longer|shorter|more|less)\b[^.!?]*\bor\b",
    _I,
)
_COMMANDS = (
    (Intent.FORGET, _FORGET),
    (Intent.SUMMARISE, _SUMMARISE),
    (Intent.UPDATE, _CHANGE),
    (Intent.UPDATE, _KEEP),  # "Remember that …?" with a question mark asks; the others are commands all the same
)
_CHANGE_LEAD = re.compile(r"(?:actually|correction|update|small correction|no wait|wait|scratch that)\b[,:. -]+", _I)
_COMPARE_VERB = re.compile(r"^(?:compare|contrast)\s+", _I)


def straight(text: str) -> str:
    """The text in one line with plain quotation marks and apostrophes."""
    return " ".join(text.translate(_APOSTROPHES).split())


def command(prompt: str) -> str:
    """The prompt without greeting and politeness: "Hi Ana! Could you please forget X" becomes "forget X"."""
    text = _HELLO_NAME.sub("", straight(prompt), count=1)
    while True:
        shorter = _POLITE.sub("", _GREETING.sub("", text, count=1), count=1)
        shorter = _without_thanks(shorter)
        if not shorter.strip(" ?!.,"):
            return text
        if shorter == text:
            return text
        text = shorter


def _without_thanks(text: str) -> str:
    """The text without a closing "please" or "thanks"; a question stays a question."""
    return _TRAILING.sub(lambda match: "?" if "?" in match.group() else "", text)


def intent_of(prompt: str) -> tuple[Intent, str]:
    """The intent, and the part of the prompt that says what it is about (the query before pronouns are resolved)."""
    told = command(prompt)
    is_question = _QUESTION.match(told) is not None or told.rstrip().endswith("?")
    commands = _COMMANDS[:3] if is_question else _COMMANDS
    for sentence in _sentences(told):
        for intent, pattern in commands:
            match = pattern.match(sentence)
            if match:
                return intent, _rest(sentence, match.end(), told)
    if _COMPARE.search(told):
        return Intent.COMPARE, _after(_COMPARE_VERB, told)
    if not is_question and _CHANGED.search(told):
        return Intent.UPDATE, _after(_CHANGE_LEAD, told)
    return Intent.RECALL, _after(_ASKING, told)


def _after(opening: re.Pattern[str], text: str) -> str:
    match = opening.match(text)
    return _rest(text, match.end(), text) if match else text


def _sentences(text: str) -> list[str]:
    """The first and the last sentence: a command stands at either end of what surrounds it."""
    parts = [command(part) for part in re.split(r"(?<=[.!?])\s+(?=\S)", text) if part.strip()]
    return [parts[0], parts[-1]] if len(parts) > 1 else parts


def _rest(sentence: str, start: int, whole: str) -> str:
    """What follows the command in its sentence; everything when nothing does."""
    rest = _without_thanks(sentence[start:]).strip(" ,:;")
    return rest if re.search(r"\w", rest) else whole


_ASKS_WHEN = re.compile(
    r"^(?:and |but |so |roughly |approximately )?when (?:exactly |precisely )?(?:did|do|does|was|were|is|are|am|will"
    r"|would|have|has|had|can|should|'s|must|could)\b|^when's\b|\bsince when\b|^how long\b|\bhow long ago\b"
    r"|\bhow many (?:days|weeks|months|years) (?:ago|passed|later|after|did it take|has it been|have passed)\b"
    r""
    r"|^(?:in |on |at |during |around )?(?:what|which) (?:exact )?(?:day|date|time|year|month|week"
    r"|season)\b(?! of (?:music|food))|\b(?:know|tell me|remind me|forgot|wonder|sure) (?:exactly )?(?:when"
    r"|(?:on )?(?:what|which) (?:day|date|year|month))\b|^(?:what|whats|what's|what is|what was) the (?:exact )?date\b",
    _I,
)
# "When Ana has moved?" asks; "When Ana moved, who helped?" does not.
_WHEN_CLAUSE = re.compile(r"when (?!.*\b(?:who|what|where|how|why|which|did|do|does)\b)[^,?]+\?", _I)
_ABOUT_PAST = re.compile(
    r"\bdid(?:n't)? (?:\w+ ){1,3}use to\b(?! (?:make|create|build|cook|bake|write|fix|clean|cut|draw|paint|open|keep"
    r"|pay|treat|wash|store)\b)"
    r"|\bpreviously\b|\boriginal(?:ly)?\b|\bformer(?:ly)?\b|\binitially\b|\bat first\b|\bin the past\b|\bback then\b"
    r"|\bback when\b|\bprevious\b|\bprior\b(?! to (?:me|us)\b)|\bearlier (?:version|plan|address|job|name|answer)\b"
    r"|\bbefore[?.! ]*$|\bbefore (?:that|this|then|now|i|we|he|she|they|moving|the (?:move|change|switch|update))\b"
    r"|\b(?:live|lived|work|worked|use|used|drive|drove|have|had|prefer|preferred|like|liked|called|study|studied|own"
    r"|owned)\b[^.?!]{0,40} before\b"
    r"|\b(?:my|our|his|her|their|your|the|\w+'s) old (?!friends?\b|man\b|woman\b|people\b|lady\b|enough\b|age\b)"
    r"|\bex-\w+|\bonce (?:lived|worked|had|owned|was|were)\b",
    _I,
)
_ABOUT_FUTURE = re.compile(
    r"\b(?:will|won't|going to|about to|next|soon|tomorrow|later|future|upcoming|plan(?:s|ned|ning)?)\b|'ll\b", _I
)
_USED_TO = re.compile(r"\bused to\b", _I)
_PASSIVE = re.compile(r"(?:\b(?:is|are|was|were|be|been|being|am|get|gets|got|getting)|'m|'re|'s)(?: \w+){0,3} $", _I)
_TYPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (
        ("preference",),
        re.compile(
            r"\bfavou?rites?\b|\bprefer(?:s|red|ences?)?\b|\bfond of\b|\b(?:do|does|did|don't|doesn't|didn't"
            r"|to) (?:\w+ ){0,4}?(?<!look )(?<!sound )(?<!feel )(?<!taste )(?<!smell )(?<!seem )(?<!be )(?:like|love"
            r"|enjoy|hate|dislike)\b"
            r"|\b(?:i|we|he|she|they) (?:really |also |still |now )?(?:like|love|enjoy|hate|dislike)s?\b|\b(?:likes"
            r"|loves|enjoys|hates|dislikes|liked|loved|disliked)\b|\btastes? in\b",
            _I,
        ),
    ),
    (
        ("event",),
        re.compile(
            r"^when [^,]*$|\bwhat happened\b|\bwhat did\b[^?]*\b(?:do|go|happen|attend|visit"
            r"|celebrate)\b",
            _I,
        ),
    ),
    (
        ("procedure", "task_prompt"),
        re.compile(
            r"^how (?:do|does|can|should|could|would|must) (?:i|we|you|one)\b|\bhow to\b|\b(?:steps|instructions"
            r"|procedure|recipe|guide) (?:to|for|on)\b|\bstep[- ]by[- ]step\b",
            _I,
        ),
    ),
    (
        ("document",),
        re.compile(
            r"\b(?:notes|documents?|docs|files?|pdfs?|reports?|spreadsheets?|slides|presentation|contract|manual"
            r"|handbook|readme|transcripts?|meeting minutes|memos?)\b|\b(?:my|the|our|a|meeting) note\b",
            _I,
        ),
    ),
)


def asks_when(query: str, prompt: str) -> bool:
    """Whether the answer is a date, a time or a length of time."""
    told = command(prompt)
    return any(_ASKS_WHEN.search(text) or _WHEN_CLAUSE.fullmatch(text) for text in (query, told))


def is_about_past(query: str) -> bool:
    """Whether the question is about what used to be true and may be no longer."""
    if _ABOUT_PAST.search(query):
        return True
    # "Where I used to live", but not "is flour used to bake" or "am I used to it".
    return any(not _PASSIVE.search(query, max(0, m.start() - 40), m.start()) for m in _USED_TO.finditer(query))


def is_about_future(query: str) -> bool:
    """Whether the question is about what is still to come."""
    return _ABOUT_FUTURE.search(query) is not None


def semantic_types(query: str) -> tuple[str, ...]:
    """The kinds of memory that fit, most telling first; empty for any kind."""
    return tuple(kind for kinds, pattern in _TYPES if pattern.search(query) for kind in kinds)
