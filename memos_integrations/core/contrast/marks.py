"""Marks of a whole sentence: that something is news, over, put right, unsure, past, or so for once only."""

from __future__ import annotations

import re

ENDED = re.compile(
    r"\b(?:no longer|any ?more|any longer|no more|nicht mehr|kein\w* \w* ?mehr|ya no|dejé de|deje de)\b", re.IGNORECASE
)
"""Says that something was so and is no longer."""

FRESH = re.compile(
    r"\b(?:now|nowadays|these days|from now on|at the moment|currently|recently|lately|as of|since|instead"
    r"|henceforth|finally|at last|for good|permanently|effective|starting (?:from|in|on|with)|as from"
    r"|from (?:here|this point|that point) on(?:wards?)?|change of plans?|on second thoughts?|new"
    r"|newly|current|latest|updated"
    r"|again|(?:re)?painted|going forward|any ?more|no longer|by now|only \w+ left|meanwhile"
    r"|from (?:\w+ ){0,2}(?:on(?! (?:\d|the|a|mon|tues|wednes|thurs|fri|satur|sun|january|february|march|april|may|june"
    r"|july|august|september|october|november|december))|onwards?)"
    r"|from (?:today|this (?:week|month|year)|next (?:week|month)|january|february"
    r"|march|april|may|june|july|august|september|october|november|december)"
    r"|, so (?:i|we|he|she|they|it|my|our|the)"
    r"|(?:cancell?ed|full|closed|sold out|booked up|broke down), (?:i|we|he|she|they|it|my|our|the)"
    r"|down to|up to|back (?:to|on)|brought forward|put back|has been|have been|have had|has become|became"
    r"|jetzt|nun|neuerdings|mittlerweile|inzwischen|seit|ab sofort|neue[rsn]?|ahora|actualmente|desde|nuev[oa])\b",
    re.IGNORECASE,
)
"""Says that what follows is news, or is so by now."""

SUCCESSION = re.compile(
    r"\b(?:t(?:ook|akes|aken|aking) over|hand(?:s|ed|ing) .{0,40}\b(?:over|to)|pass(?:ed|es) .{0,40}\bto"
    r"|succeed(?:s|ed)?"
    r"|replac(?:es|ed) .{0,40}\bas|elected|appointed|(?:is|was) the new)\b",
    re.IGNORECASE,
)
"""Says that somebody else has the part of another."""

GIVEN_UP = re.compile(
    r"\b(?:replac(?:e|es|ed|ing)|stepp?(?:ed|s) down|resign(?:ed|s)?|retire[sd]?|promoted|instead of|no longer"
    r"|split up"
    r"|broke up|is gone|left|moved out|any ?more)\b",
    re.IGNORECASE,
)
"""Says that somebody who is named has a part no longer."""

CORRECTING = re.compile(
    r"^no, |\b(?:please fix|was off)\b"
    r"|\b(?:actually|sorry|mistaken?|misread|misspoke|misheard|mistyped|misremember\w*|incorrect|inaccurate|correct"
    r"|correction|corrected|clarif\w+|confus\w+|mix(?:ed|ing)?\b.{0,20}\bup|turns out|turned out|look(?:ed)? it up"
    r"|strike that|make that|on second thoughts?|disregard|as opposed to|erratum|(?:double-)?checked"
    r"|in fact|typo|my bad|scratch that|i meant|rather than"
    r"|korrektur|eigentlich|sondern|falsch|irrtum|vertan|perdon|en realidad|equivoqu\w+|sino)\b"
    r"|\bwrong\b(?=\s*(?:\w+\s*)?(?:[,;:.]|$))",
    re.IGNORECASE,
)
"""Says that what was said is to be put right."""

DENIED_VALUE = re.compile(r"(?:,|\band)\s*not\s+(?P<after>[^,.;]+)|\b(?:not|n't|nicht|no)\s+(?P<before>[^,.;]+?),?\s+"
                          r"(?:but|sondern|sino)\b", re.IGNORECASE)  # fmt: skip
"""The value that a correction says is the wrong one."""

FORMER = re.compile(
    r"\b(?:from|succeed\w*|instead of|rather than|in place of|replac\w+|von|en vez de"
    r"|statt)\s+((?:(?!instead\b|rather\b|in place\b)\.?\w[\w-]*(?:\.\w+)* ?){1,3})"
)
"""What was before, in a statement of change."""

UNSURE = re.compile(
    r"\b(?:if|unless|whether|might|would(?! (?:now |much )?rather)|could|should|ought"
    r"|maybe|perhaps|probably|possibly|likely|supposedly"
    r"|allegedly"
    r"|feels? like|as (?:if|though)|suppose|assuming|imagine|pretend\w*|jok(?:e|es|ed|ing)|kidding"
    r"|l(?:ied|ying) (?:that|about|to)|claim(?:s|ed) (?:that|to|i|he|she)|dream\w*"
    r"|wish\w*|hop(?:e|es|ing)|(?:plans|planning|planned|(?:i|we|they|you|also|now|still) plan) to|planning (?:on|for)"
    r"|planned for|plans? on \w+ing"
    r"|intend\w*|aim(?:s|ing)?"
    r"|consider\w*|tempted|(?:i|we|they|he|she)'d|(?<!now )(?<!stopped )(?<!stop )(?<!quit )(?<!started )(?<!start )"
    r"(?<!keep )(?<!kept )(?<!like )(?<!love )(?<!enjoy )(?<!hate )(?<!up )(?:want|wants|wanted|like|going|about"
    r"|expect"
    r"|expects|trying"
    r"|try|tries|hoping|need|needs) to(?! (?:the|a|an|my|our|his|her|their)\b)"
    r"|(?:think|thinking|dreaming|talking) (?:about|of)|idea is|goal is|dream is"
    r"|ask(?:ed|ing)? (?:to|for)|request(?:ed|ing)|propos(?:e|es|ed|ing)"
    r"|suggest\w*|recommend\w*|discuss\w*|applied|apply|applying"
    r"|interview|rumou?r\w*|thinks? (?:that|he|she|they|i)|let's|may (?!not\b)(?=[a-z])|(?<!from )next (?:week|month"
    r"|year|spring|summer|autumn|winter)|some ?day|one day|will(?! (?:now |not )?be\b)"
    r"|vielleicht|mochte|mochten|wurde gern|wenn|falls|konnte|plane|quiza|quizas|si (?=\w)|quiero|gustaria|podria)\b",
    re.IGNORECASE,
)
"""Says that it is not so, or not yet: a wish, a plan, a condition."""

PAST = re.compile(
    r"\b(?:used to|(?:was|were)(?! (?:not )?(?:(?:\w+ly|just|finally) )?(?:\w+(?:ed|en)"
    r"|brought|put|set|cut|made|sent|sold|built"
    r"|lost|held|found|paid|shut|split"
    r"|kept|bought|born|put|hit|let|upheld|won|told|taught|spent|drawn|withdrawn|thrown|torn|left|met"
    r"|read)\b)|as a (?:child|kid|boy|girl|student|teenager)|years? ago"
    r"|months? ago|long ago|back then|back in (?:the|my|\d)"
    r"|previously|previous|formerly|former|before that|earlier|at school|once(?! (?:an?|per|every|each)\b)"
    r"|in (?:19|20)\d\d|last (?:time|year|car"
    r"|phone|job)|(?:my|our|his|her) last|first (?:husband|wife|job|car)|until i|in those days|when i was"
    r"|had (?:a|an|the|my|his|her|our|their|no|\d\w*)|before (?:i|we|he|she|they)"
    r"|früher|damals|fruher|antes|war|era)\b",
    re.IGNORECASE,
)
"""Says that it was so at another time."""

PASSING = re.compile(
    r"(?<!from )(?<!as of )(?<!until )\b(?:today|tonight|tomorrow|yesterday|this (?:weekend|week|morning"
    r"|afternoon|evening|monday|tuesday"
    r"|wednesday|thursday|friday|saturday|sunday)|(?:last|next) (?:monday|tuesday|wednesday|thursday|friday"
    r"|saturday|sunday"
    r"|night|weekend)|(?:next|that) week|while (?:i|we|he|she|they)|for (?:the|a|this) (?:weekend|week|day"
    r"|night)|on (?:christmas|easter|good friday|new year|boxing"
    r"|public holidays?|the (?:bank )?holiday)\w*|just this once|temporarily|for (?:a few|two|three) days|heute"
    r"|morgen"
    r"|gestern|hoy|manana|ayer)\b",
    re.IGNORECASE,
)
"""Says that it is so for once."""

BESIDES = re.compile(
    r"\b(?:(?:my|our|the|his|her|their) other|also|too|as well|in addition|besides"
    r"|(?<!to )(?<!in )(?<!at )(?<!for )another|moreover|on top|auch"
    r"|tambien|también)\b",
    re.IGNORECASE,
)
"""Says that it is so besides."""

WISHES = re.compile(r"\b(want|plan|intend|hope|aim|dream|goal|idea|like)\w* (?:to|on|of|is to|for)\b", re.IGNORECASE)
"""Says what somebody wishes or plans."""

PLANNED = re.compile(
    r"\b(?:going to|will|plan\w*|wants?|intend\w*|hop(?:e|es|ing)|aim\w*|dream\w*|want to|about to"
    r"|next (?:week|month|year|spring|summer|autumn|winter)|would like|thinking (?:of|about))\b",
    re.IGNORECASE,
)
"""Says what is to be, by somebody's will."""

DROPPED = re.compile(
    r"\b(?:decided (?:on|against|for|not)|changed (?:my|our|his|her|their) minds?|(?:drop|dropped|gave up"
    r"|given up|abandoned"
    r"|scrapped|shelved) (?:on )?(?:the|my|our|his|her|their) (?:ideas?|plans?)|(?:am|are|is) not going|will not be"
    r"|call(?:ed)? (?:[\w-]+ ){1,4}off|no longer (?:planning|want\w*|going|intend\w*)|called off|cancelled"
    r"|fell through|is off"
    r"|decided to (?:keep|stay)|g(?:ave|iven) up (?:on )?\w+ing|(?:am|is|are) (?:keeping|staying))\b",
    re.IGNORECASE,
)
"""Says that a plan is given up, or another one made."""

SUBSTITUTES = re.compile(
    r"\binstead\b(?! of)|\b(?:from here on|going forward|since(?! \d)|as of)\b|\b(?:these days|nowadays"
    r"|from now on|now|jetzt|inzwischen|neuerdings|ahora|ya(?! no))\b",
    re.IGNORECASE,
)
"""Says that what follows is so in the place of what was."""
