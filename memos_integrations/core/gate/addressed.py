"""Texts that speak to a machine about its user, its memory or its rules, whatever they ask of it.

What people tell each other does not: they do not call one another "the user", have no hidden prompt, and lift nobody's
confirmations. Strong are those that only an attack holds; weak those that a manual, or a developer's own note, may.
Kinds of attack: OWASP LLM01 and ASI06; MINJA (arXiv 2503.03704); Trojan Hippo (arXiv 2605.01970).
"""

from __future__ import annotations

import re

from memos_integrations.core.gate.hinted import holds

_GAP = r"[^.!?\n]"
_AI = (
    r"(?:ais?|a\.i\.|llms?|language models?|chatbots?|ai[ -](?:assistants?|agents?|models?|systems?|bots?)|assistants?)"
)
_TOLD = r"(?:instructions?|guidelines?|rules?|directives?|polic(?:y|ies)|prompts?|constraints?)"
_ASSENT = r"(?:confirmations?|approvals?|consent|permission|authori[sz]ations?|two-factor|2fa|verification)"
_OFTEN = r"(?:future|later|coming|following|every|each|all)"

_STRONG = (
    # to set aside what it was told, by whomever
    (
        ("disregard", "ignore", "forget"),
        rf"\b(?:ignore|disregard|forget)\b{_GAP}{{0,15}}\b(?:everything|anything|all|whatever)\b{_GAP}{{0,12}}"
        r"\b(?:the (?:user|owner|human)|you (?:were|are|have been) (?:told|asked|instructed))\b",
    ),
    (
        ("supersed", "revoked", "void", "cancelled", "valid", "replaced", "existed", "precedence"),
        rf"\b(?:prior|previous|earlier|existing|your) {_TOLD} (?:are|is|were|have been|never) (?:now |hereby )?"
        r"(?:superseded|revoked|void|cancelled|no longer valid|existed)\b"
        rf"|\b(?:takes?|has|have) precedence over\b{_GAP}{{0,20}}\b(?:system prompt|your {_TOLD}|all {_TOLD})",
    ),
    (("no longer",), rf"\b(?:you are|you're) no longer (?:an? )?(?:helpful |harmless )*{_AI}\b"),
    (("anything now", "dan"), r"\byou(?:'re| are)\b(?-i: DAN\b)|\b(?:can|may|will) do anything now\b"),
    (("directive",), r"\byour (?:new|only|real|true|updated) directives?\b"),
    # to show what it keeps
    (
        ("prompt", "configuration", "instructions", "words above", "text above", "memory", "context"),
        rf"\b(?:print|reveal|show|repeat|output|disclose|display|give|tell|dump|paste)\b{_GAP}{{0,12}}"
        r"\b(?:your|the) (?:hidden|initial|original|secret|system|internal) (?:prompt|instructions|configuration|"
        r"message)"
        r"|\b(?:print|dump|output|disclose) your (?:prompt|instructions|configuration)\b"
        r"|\brepeat the (?:words|text|sentences|lines) (?:above|before)\b"
        rf"|\b(?:respond|reply|answer|reveal|dump)\b{_GAP}{{0,12}}\b(?:contents?|all)\b{_GAP}{{0,8}}"
        r"\b(?:of )?your (?:memory|memories|context|context window)\b",
    ),
    # in the name of who runs it, or in its own marks
    (("role",), r"[\"']role[\"']\s*:\s*[\"'](?:system|developer)[\"']"),
    (
        ("begin", "end", "start"),
        r"(?-i:\b(?:BEGIN|START|END)\b(?: [A-Z]+){0,2} (?:OVERRIDE|INSTRUCTIONS?|DIRECTIVES?|SYSTEM PROMPT)\b)",
    ),
    (
        ("developer", "admin", "creator", "operator", "engineer"),
        rf"\b(?:i|we),? (?:am |are )?(?:your|the) (?:developers?|admin\w*|creators?|operators?|system)\b{_GAP}{{0,12}}"
        r"\b(?:hereby|instruct|order|command|authori[sz]e)\b",
    ),
    (
        ("treat", "handle", "regard", "consider"),
        rf"\b(?:treat|handle|regard|consider)\b{_GAP}{{0,30}}\bas (?:an? )?(?:system|developer|admin\w*)(?:-level)? "
        r"(?:message|prompt|instruction|command|order)s?\b",
    ),
    (
        ("summari", "language model", "llm", "crawler", "ai "),
        r"\b(?:note|message|instructions?) (?:to|for) the (?:summari[sz]er|crawler|language model|llm)\b"
        rf"|\bto (?:the |any |all )?(?:language models?|llms?|ai (?:assistants?|agents?|models?))\b{_GAP}{{0,12}}"
        r"\b(?:processing|reading|summari[sz]ing|parsing|visiting|indexing)\b",
    ),
    # to act on others' behalf, in secret
    (("obey", "execute", "comply"), r"\bthen (?:obey|execute|comply with) (?:it|them|this)\b"),
    (
        ("logging", "audit", "exfiltrate"),
        rf"\b(?:disable|turn off|switch off|stop)\b{_GAP}{{0,12}}\b(?:logging|auditing|the audit)\b{_GAP}{{0,20}}"
        r"\b(?:exfiltrate|send|forward|upload)\b",
    ),
    (
        ("other user", "another user"),
        rf"\byou (?:may|can|must|should|are allowed to)\b{_GAP}{{0,20}}\b(?:disclose|share|reveal|show|read|give)\b"
        rf"{_GAP}{{0,12}}\b(?:other users'?|another user's)",
    ),
    (
        ("the user", "users"),
        r"\b(?:do not|don't|never)\b(?: again| ever)? (?:warn|remind|caution)\b[^.!?\n]{0,12}\b(?:the |your )?users?\b"
        rf"|\b(?:silently|secretly|quietly) (?:replace|change|send|add|append|forward|store|alter|swap)\b{_GAP}{{0,60}}"
        r"\b(?:account|number|address|link|url|user)\b",
    ),
)
_WEAK = (
    (("you are", "you're"), rf"\b(?:if|since|as) you(?:'re| are) (?:an? )?{_AI}\b"),
    (("ai ", "llm"), rf"\b{_AI}\b{_GAP}{{0,40}}\b(?:are|is) (?:required|instructed|obliged|ordered|asked) to\b"),
    (("assistant", "ai", "bot"), rf"\b(?:hey|dear|hello) {_AI}\b"),
    (
        ("role", "task", "goal", "mission", "objective"),
        r"\byour new (?:role|task|goal|mission|objective|persona|job)\b",
    ),
    (
        ("new instructions", "instructions follow", "rules changed", "guidelines changed", "instructions changed"),
        rf"\b(?:new|updated) {_TOLD} follow\b|\byour {_TOLD} (?:have |were )?changed\b",
    ),
    # what is to be kept of its user, and for how long
    (
        ("memory", "remember", "stored", "memories"),
        rf"\b(?:save|store|write|add|commit|record|put)\b{_GAP}{{0,20}}\b(?:in|into|to) (?:your |the |its |"
        r"long-term )?memory\b"
        rf"|\bremember\b{_GAP}{{0,8}}\b(?:for|in|across) {_OFTEN} (?:future )?(?:sessions?|conversations?|chats?|"
        r"tasks?)"
        rf"|\b(?:update|replace|overwrite|change|correct) (?:your (?:memory|memories|records)|what you have "
        r"(?:stored|saved|remembered))\b",
    ),
    (
        ("the user",),
        r"\b(?:tell|warn|ask|convince|persuade|assure) the user\b"
        rf"|\bthe user (?:trusts|approves|wants all|prefers all|gave|has (?:already |previously )?(?:confirmed|"
        rf"approved|consented|agreed|authori[sz]ed)|is an? (?:admin\w*|owner|developer|root))\b"
        rf"|\b(?:append|insert|include|attach|embed)\b{_GAP}{{0,12}}\bthe user's\b",
    ),
    (
        ("trust", "verified", "policy", "polic"),
        rf"\b(?:trust|verified|trusted|label)\s*[=:]\s*[\"']?(?:verified|true|trusted|yes|1)\b"
        rf"|\b(?:overwrite|replace|disable|delete|change)\b{_GAP}{{0,8}}\b(?:safety|security|access|content) "
        r"(?:polic(?:y|ies)|rules?|settings?|filters?)",
    ),
    # what nobody has to ask for any more
    (
        ("confirm", "approv", "consent", "permission", "authori", "two-factor", "2fa", "verification"),
        rf"\b(?:without|skip(?:ping)?|bypass(?:ing)?|needs? no|no need for|omit(?:ting)?)\b{_GAP}{{0,20}}\b{_ASSENT}\b"
        rf"|\b(?:permanent|standing|blanket|general) {_ASSENT}"
        rf"|\bauthori[sz]ed to (?:bypass|skip|ignore|override)\b",
    ),
    (
        ("permitted", "allowed", "approve", "requests", "granted"),
        r"\ball (?:actions|requests|operations|purchases|payments|transfers|tools) are (?:now )?(?:permitted|allowed|"
        r"approved|authori[sz]ed|granted)\b|\b(?:grant|approves?|accept|allow) all (?:requests|payments|transfers|"
        r"actions)\b",
    ),
    (
        ("password", "pin", "secrets"),
        r"\bask (?:for|them for|the user for|him for|her for) (?:their|the|his|her) (?:password|pin|code|card)"
        r"|\b(?:all|any|the) secrets (?:you|it) (?:hold|know|have|keep)s?\b|\breveal all secrets\b",
    ),
    # how it is to talk, whoever asks
    (
        ("whenever", "when", "each time", "every time"),
        rf"\b(?:whenever|when|each time|every time) (?:you (?:recommend|answer|reply|suggest|summari[sz]e|are asked|"
        rf"see|mention)|asked|the (?:word|topic|name|subject))\b{_GAP}{{0,50}}\b(?:always|never|first|silently|replace|"
        r"paste|instead|must|say|answer|append)\b",
    ),
    (("in every", "in each", "in all"), r"\bin (?:every|each|all(?: of)? your) (?:answer|reply|response|message)s?\b"),
    (("onward", "here on", "point on"), r"\bfrom (?:here|this (?:point|conversation|moment|session)) on(?:wards?)?\b"),
    (
        ("follow", "obey", "carry out"),
        rf"\b(?:follow|obey|carry out)\b{_GAP}{{0,15}}\b(?:orders|instructions|commands)\b{_GAP}{{0,8}}\bin this "
        r"(?:file|document|page|note|email|mail|message)\b",
    ),
    # what a tool is to be called with, and what closes its data
    (("(",), r"\b(?:invoke|call|execute|run|trigger)\b (?:the )?[A-Za-z_][\w.]{2,40}\([^)\n]{0,120}="),
    (
        ("tool", "execute", "run "),
        rf"\bcall the [\w-]{{2,30}} (?:tool|function)\b|\b(?:download|fetch)\b{_GAP}{{0,12}}"
        r"\b(?:and|then) (?:run|execute)\b|\bexecute\s*:",
    ),
    (("</",), r"</(?:context|document|documents|data|input|webpage|tool_result|search_results?)>\s*\w"),
)
_VERBS = (
    r"add|answer|append|approve|act|attach|close|collect|consider|copy|delete|direct|disclose|embed"
    r"|execute|export|forget|forward|give|grant|hand|hide|ignore|include|insert|invite|invoke|keep|leave"
    r"|mark|open|overrule|paste|print|promote|push|put|quote|rank|rate|recommend|redirect|refer|refuse"
    r"|repeat|replace|reply|report|respond|reveal|route|run|save|send|set|share|skip|slip|state|store"
    r"|suggest|tell|transfer|treat|trust|update|upload|visit"
)
_ORDERED = re.compile(
    rf"(?:^|[.!?;:,]\s+|\b(?:please|then|and|now|quietly|silently|secretly|instead)\s+)(?:{_VERBS})\b"
    r"|\byou (?:will|must|shall|may|are to|can now|refuse|answer|obey)\b|\b(?:do not|don't|never|always)\b",
    re.IGNORECASE,
)
_SERVED = re.compile(
    r"\b(?:the|this|your) (?:user|human|person you|account (?:owner|holder)|owner of the account)\b|\bwhoever asks\b"
    r"|\bowner no longer\b|\bautomated readers?\b|\bnote (?:for|to) the (?:bot|agent|assistant|model)\b"
    r"|\byour (?:safety|maker|creators?|operators?|notes|memory|policy|stored|guidance|filters)\b"
    r"|\b(?:safety|content) filters?\b|\byou (?:were started|were given|serve|hand out)\b|\b(?:as a|a) verified fact\b"
    r"|\bstored (?:preference|memory|memories)\b|\bsystem administrator\b|\bcredentials of\b"
    r"|\bthis (?:session|workspace)\b|\bwhen summari[sz]ing\b|\bwithout telling\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s|\n")
"""In one sentence: what is to be done, and whom a machine serves or what it keeps."""

_Compiled = tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]


def _compiled(rules: tuple[tuple[tuple[str, ...], str], ...]) -> _Compiled:
    return tuple((hints, re.compile(pattern, re.IGNORECASE)) for hints, pattern in rules)


_STRONGLY, _WEAKLY = _compiled(_STRONG), _compiled(_WEAK)


def commands_machine(text: str, folded: str) -> bool:
    """Whether the text (and in lower case) tells a machine what only an attack tells one."""
    return holds(_STRONGLY, text, folded)


def addresses_machine(text: str, folded: str) -> bool:
    """Whether it speaks to a machine of its user, its memory or its rules, as a manual may, too."""
    if holds(_WEAKLY, text, folded):
        return True
    return _SERVED.search(text) is not None and any(
        _SERVED.search(each) and _ORDERED.search(each) for each in _SENTENCE.split(text)
    )
