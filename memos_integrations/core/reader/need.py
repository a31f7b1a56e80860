"""Whether a prompt needs memory at all. A needless recall costs milliseconds, a missed one costs the answer."""

from __future__ import annotations

import re

_SMALL_TALK = (
    r"hi|hiya|hello|hey|yo|howdy|greetings|good (?:morning|afternoon|evening|night|day)|morning|evening|there"
    r"|everyone|all"
    r"|bye|goodbye|bye bye|continue|go on|see (?:you|ya)(?: (?:later|soon|tomorrow|around))?|later|take care"
    r"|have a (?:nice|good"
    r"|great|lovely) (?:day|evening|weekend|one|night|time)"
    r"|(?:many |no )?thanks(?: (?:a lot|so much|again|very much|a million|a bunch|anyway))?|thx|ty|cheers"
    r"|thank you(?: (?:so much|very much|again|kindly|anyway))?"
    r"|(?:thanks|thank you) for (?:your|the|all your|all the) help|(?:i|much) appreciated?(?: (?:it|that))?"
    r"|(?:that's|that is|that was|it's|this is|you're|you are)? ?(?:so |very |really |just )?(?:great|good|nice|cool"
    r"|awesome|perfect|wonderful|amazing|excellent|fantastic|lovely|helpful|the best|brilliant|funny|fine|interesting"
    r"|all right|alright|right|correct)"
    r"|that helps|that helped|sounds (?:good|great|fine|nice)|got it|i see|understood|makes sense|no (?:problem"
    r"|worries)|never ?mind|forget (?:it|about it)|don't worry"
    r"|ok|okay|k|yes|yeah|yep|yup|no|nope|nah|sure|of course|right|please|wow|oh|ah|haha+|hehe+|lol|hmm+|well|indeed"
    r"|exactly|absolutely|cool|done|ready|test|testing|ping"
    r"|how are (?:you|things)(?: (?:doing|today|doing today|going))?|how's it going|how is it going|how do you do"
    r"|what's up|whats up|sup|how's (?:your day|life|everything)"
    r"|(?:nice|pleased|good) to (?:meet|see) you|you(?:'re| are) welcome|and you|welcome|sorry|my bad|good (?:job"
    r"|work)|well done|congrats|congratulations"
    r"|(?:who|what) are you|what(?:'s| is) your name|what can you do|tell me (?:a|another) joke"
    r"|tell me something funny|let's (?:start|go|begin)|are you (?:there|ready|ok|okay)"
)
_ONE_NICETY = re.compile(_SMALL_TALK, re.IGNORECASE)
_LONGEST_NICETY = 8  # words
_GREETED = re.compile(
    r"^\s*(?i:hi|hello|hey|dear|thanks|thank you|bye|goodbye|good (?:morning|afternoon|evening|night)),?"
    r" [A-Z]\w+\s*[!.,]*\s*$"
)
_LONGEST_GENERIC = 500  # a longer prompt carries context of its own; recall for it
_PUNCTUATION = re.compile(r"[^\w\s']+|_+")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|`[^`]*`|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^’]*’(?!\w)")  # noqa: RUF001

_ARITHMETIC_WORDS = (
    r"what(?:'s| is| are| does)|how much (?:is|are|does)|calculate|compute|evaluate|solve|work out|tell me|equals?"
    r"|make|plus|minus|times|multiplied"
    r"|divided|over|by|of|the|percent|square|cube|root|squared|cubed|sum|product|difference|between|and|to|power|mod"
    r"|modulo|is|please|can you"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|fifty|hundred|thousand|million|half"
    r"|double"
)
_ARITHMETIC = re.compile(rf"(?>(?:{_ARITHMETIC_WORDS})\b|\d+(?:[.,]\d+)*|[-+*/×÷^=%()x.?!, ])+", re.IGNORECASE)  # noqa: RUF001
_DATE = re.compile(r"\d+(?:[-/.]\d+){1,2}")  # "9/11" is a date before it is a sum
_HAS_SUM = re.compile(
    r"\d\s*[-+*/×÷^x%]\s*\(?\d|\b(?:plus|minus|times|multiplied|divided|percent|squared|cubed|root|sum|product|power|modulo|mod)\b|\d\s*%\s*of",  # noqa: RUF001
    re.IGNORECASE,
)

_PERSONAL = re.compile(
    r"\b(?:i|i'm|i've|i'd|i'll|my|mine|myself|we|we're|we've|us|our|ours|you (?:said|told|know|remember)|he|she|his"
    r"|hers?|him|they|their|them"
    r"|remember|recall|memory|memories|earlier|previous(?:ly)?|last (?:time|week|month|year|night)|yesterday|again|we"
    r"|that (?:place|person)|usual"
    r"|(?:translate|define|spell|convert|rephrase|paraphrase|proofread) (?:it|that|these|those)|same|conversation"
    r"|chat|mentioned|told|discussed)\b",
    re.IGNORECASE,
)
_LANGUAGE = (
    r"English|French|German|Spanish|Italian|Portuguese|Dutch|Swedish|Norwegian|Danish|Finnish|Polish|Czech|Russian"
    r"|Ukrainian|Greek|Turkish|Arabic"
    r"|Hebrew|Hindi|Bengali|Urdu|Chinese|Mandarin|Cantonese|Japanese|Korean|Vietnamese|Thai|Indonesian|Latin|Swahili"
)
_LANGUAGES = re.compile(
    rf"\b(?:{_LANGUAGE}|Python|JavaScript|TypeScript|Java|SQL|Rust|Go|C\+\+|Bash|HTML|CSS)\b", re.IGNORECASE
)
# "The flat", "the letter from the bank": a particular one, which memory may know; "the word X" is in the prompt.
_SOMEBODYS = (
    r"(?:the (?!united|netherlands|philippines|world|moon|earth|sun|sea|universe|words?\b|phrase|sentence|following"
    r"|quoted|number)|my|our|his|her|their|its|this|that|these|those)\b"
)
_TASK = (
    r"(?:translate|spell|pronounce|conjugate|define|convert|rhyme|proofread|paraphrase|rephrase|transliterate"
    rf"|capitali[sz]e)\b(?! {_SOMEBODYS}).*"
    r"|(?:write|compose|generate|create|draft|make|give|tell|sing|invent)(?: me| us)? (?:a|an|some|another|the"
    r"|\d+)? ?(?:\w+ ){0,3}?"
    r"(?:poem|haiku|limerick|sonnet|story|joke|riddle|essay|song|lyrics|function|script|program|regex|query|tagline"
    r"|slogan|pun|fairy tale|tongue twister|random number)s?\b.*"
)
_FACT = (
    r"what(?:'s| is) the (?:capital|population|currency|area|chemical (?:symbol|formula)|atomic (?:number|weight)"
    r"|boiling point|melting point|square root"
    r"|speed of light|plural|past tense|synonym|antonym|opposite)"
    rf"(?: (?:city )?(?:of|for|in) (?!{_SOMEBODYS})[\w\s-]+)?"
    r"|what(?:'s| is) the (?:time|date)(?: (?:now|today|right now|in [\w\s-]+))?"
    r"|what time is it(?: now)?|what(?:'s| is) today's date|what day is (?:it|today)|(?:what|which) (?:day"
    r"|date) is it(?: today)?"
    r"|what does (?:\w+ |the word |quoted ?){1,3}mean|how (?:do|would) (?:you|i|we) (?:say|spell|pronounce|write) .*"
    r"|how many (?:seconds|minutes|hours|days|weeks|months|ounces|grams|inches|feet|yards|meters|metres|miles"
    r"|centimet(?:er|re)s|kilomet(?:er|re)s|bits|bytes|legs|planets|continents|sides|letters)"
    r" (?:are )?(?:there )?(?:are )?(?:in|does|do|has|have) (?:an?|one|the|\d+) (?:\w+ ?){1,3}"
    r"|(?:flip|toss) a coin|roll (?:a|the|two) dic?e|pick a (?:random )?number.*"
)
_GENERIC = re.compile(
    rf"(?:can you |could you |would you |will you )?(?:please )?(?:{_TASK}|{_FACT})[\s?!.]*(?:please)?[\s?!.]*",
    re.IGNORECASE,
)
_GIVEN_TEXT = re.compile(
    r"(?:summari[sz]e|translate|proofread|rephrase|paraphrase|shorten|rewrite|correct|fix|explain|review|improve"
    r"|edit)\b[^:\n]{0,60}?\b"
    r"(?:this|the following|following|below)\b[^:\n]{0,40}:\s*\S",
    re.IGNORECASE,
)


def why_no_memory(prompt: str, names: tuple[str, ...]) -> str | None:
    """The reason why *prompt* can be answered without memory; None when memory may help.

    *names* are the names in the prompt outside quotations, languages left out: with a name, or any first or third
    person ("my", "she", "remember"), only greetings and text given in the prompt still count as needing none.
    """
    bare = " ".join(_PUNCTUATION.sub(" ", prompt.replace("’", "'")).split())  # noqa: RUF001
    if not any(letter.isalnum() for letter in bare):
        return "the prompt has no words"
    if len(bare) <= 200 and (_is_small_talk(bare) or _GREETED.match(prompt)):
        return "small talk"
    if _GIVEN_TEXT.match(prompt.strip()):
        return "the text to work on is in the prompt"
    flat = " ".join(unquote(prompt).split()) if len(prompt) <= _LONGEST_GENERIC else ""
    if not _DATE.fullmatch(flat) and _ARITHMETIC.fullmatch(flat) and _HAS_SUM.search(flat):
        return "arithmetic"
    if _GENERIC.fullmatch(flat) and not _personal(flat) and not (names and not _is_fact(flat)):
        return "general knowledge or a writing task with no personal anchor"
    return None


def _is_small_talk(bare: str) -> bool:
    """Whether it is niceties from end to end; in time that grows with its length, however they could be cut apart."""
    begins = [0, *(at + 1 for at, letter in enumerate(bare) if letter == " "), len(bare) + 1]
    reached = {0}
    for n, begin in enumerate(begins):
        if begin in reached:
            ends = begins[n + 1 : n + 1 + _LONGEST_NICETY]
            reached.update(end for end in ends if _ONE_NICETY.fullmatch(bare, begin, end - 1))
    return len(bare) + 1 in reached


def unquote(prompt: str) -> str:
    """The prompt with quotations replaced: what stands in them is material, not a question about the user."""
    return _QUOTED.sub("quoted", prompt.replace("’s", "'s"))  # noqa: RUF001


def without_languages(text: str) -> str:
    """The text without names of natural and programming languages, which say nothing about the user."""
    return _LANGUAGES.sub(" ", text)


def _personal(text: str) -> bool:
    """Whether the text points at somebody's life; "write me", "how do I say" and "can you" do not."""
    return _PERSONAL.search(re.sub(r"\bhow (?:do|would) (?:i|we)\b", " ", text, flags=re.IGNORECASE)) is not None


def _is_fact(text: str) -> bool:
    return re.fullmatch(rf"(?:{_FACT})[\s?!.]*", text, re.IGNORECASE) is not None
