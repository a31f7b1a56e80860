"""Whether a text speaks to the machine instead of telling something: orders that a memory must not carry into a prompt.

A signal, not a wall: what it misses is still labelled untrusted by the channel that it came through. Texts are also
read with their disguises taken off.
"""

from __future__ import annotations

import re
from enum import IntEnum

from memos_integrations.core.gate.abroad import asks_for_secrets_abroad, orders_abroad
from memos_integrations.core.gate.addressed import addresses_machine, commands_machine
from memos_integrations.core.gate.chained import Chain
from memos_integrations.core.gate.disguised import legible, undisguised
from memos_integrations.core.gate.embedded import holds_turns, is_embedded
from memos_integrations.core.gate.hinted import holds
from memos_integrations.core.gate.tongues import orders_in_tongues
from memos_integrations.core.gate.unbound import is_unbound

_Rule = tuple[tuple[str, ...], re.Pattern[str] | Chain]
"""A pattern, and words of which one stands in whatever it finds: most texts hold none, and are done."""

_OLD = r"(?:previous|prior|earlier|above|preceding|former|existing|original|initial|old|current|safety|system|other)"
_RULES = (
    r"(?:instructions?|rules?|prompts?|guidelines?|directives?|directions|polic(?:y|ies)|constraints?|guardrails?|"
    r"restrictions?)"
)
_MACHINE = r"(?:assistant|ai|a\.i\.|llm|chatbot|copilot|ai (?:agent|model|bot|assistant|system))"
_MAYBE_MACHINE = r"(?:agent|model|bot|assistant|ai)"
_REPORTED = "".join(rf"(?<!\b{word} )" for word in ("me to", "us to", "him to", "her to", "i", "we", "can", "not"))
"""Not what somebody tells that they do, or that others told them to do."""
_SECRET_MATTER = (
    r"(?:credentials?|passwords?|secrets?|api keys|chat history|message history|user'?s? (?:data|history|details)|"
    r"(?:all|every|any|each|whole|entire|full|user'?s)(?: of)?(?: the| your| their| my)? (?:conversations?|"
    r"chats?|messages?|"
    r"memor(?:y|ies)|tokens?|keys))"
)
_ADDRESS = (
    r"(?:https?://\S+|[\w.+-]+@[\w.-]+\.\w+|"
    r"\b(?:this|the following|that) (?:address|url|account|endpoint|server|webhook))"
)

_FILLED = (
    r"(?:your|the|user|insert|replace|put|add)[_-]?(?:data|secret|conversation|summary|message|email|password|here"
    r"|info|"
    r"history|chat|prompt|token)|(?:DATA|SECRET|CONVERSATION|SUMMARY|PLACEHOLDER|HISTORY)\b"
)
"""What stands in an address where something is to be filled in."""


def _rule(hints: tuple[str, ...], pattern: str | Chain) -> _Rule:
    return hints, pattern if isinstance(pattern, Chain) else re.compile(pattern, re.IGNORECASE)


_STRONG = (
    _rule(
        ("ignore", "disregard", "forget", "override", "bypass", "skip", "discard"),
        rf"{_REPORTED}\b(?:ignore|disregard|forget|override|bypass|discard)\b(?:[^.!?\n]{{0,30}}\b(?:your|all|any)\b|"
        rf"[^.!?\n]{{0,30}}\b{_OLD})[^.!?\n]{{0,20}}\b{_RULES}",
    ),
    _rule(
        ("ignore", "disregard", "forget"),
        r"\b(?:ignore|disregard|forget) (?:everything|anything|all) (?:above|before|you (?:were|"
        r"have been|know)|previously|prior)",
    ),
    _rule(
        ("new", "updated", "real", "actual", "revised", "hidden", "secret"),
        r"(?m:^|[.!?]\s+|[#*>\]]\s*)(?:these are |here are |your )?(?:the |your )?(?:new|updated|real|actual|revised|"
        r"hidden|secret) (?:system )?(?:instructions?|prompts?|directives?|guidelines?)\s*(?:for (?:the |"
        r"you)?\w*\s*)?[:—-]|"
        r"\b(?:new|updated|real|actual|revised|hidden|secret) system (?:instructions?|prompts?|rules?)\s*[:—-]",
    ),
    _rule(
        ("<", "["),
        # what chat templates set between turns: ChatML, Llama, Gemma, Mistral, harmony, Cohere, DeepSeek
        r"<\|?(?:im_start|im_end|endoftext|start_header_id)\|?>|<\|[a-z\u2581][\w\u2581-]{1,40}\|>|"
        r"<\|\s(?:system|user|assistant|developer)\s\|>|"
        r"</?(?:start|end)_of_turn>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>|"
        r"</?(?:function_calls|tool_use|tool_response|tool_calls)>|"
        r"(?m:^)[^\S\n]*</?(?:system|instructions?|tool_call)>",
    ),
    # an image that takes what was said with it to whoever owns the host
    _rule(
        ("![", "<img"),
        rf"(?:!\[[^\]\n]{{0,200}}\]\(\s*<?|<img\b[^>\n]{{0,200}}?\bsrc\s*=\s*[\"']?)https?://[^\s)\"'>]{{1,300}}?"
        rf"(?:[?&][\w.-]{{1,40}}=(?=[)\"'>\s]|$)|[?&/=](?:\{{|\[|<|%7B|%5B|\$\{{|\$\(|{_FILLED}))",
    ),
    _rule(
        ("system", "developer", "admin"),
        r"(?m:^)[^\S\n]*(?:(?:#{1,4}\s*|\[\s*)(?:system|developer|admin(?:istrator)?)|(?:system|developer|"
        r"admin(?:istrator)?) (?:message|prompt|note|override|instruction|update|notice)|(?-i:SYSTEM|DEVELOPER|"
        r"ADMIN))(?:\s*\])?\s*:|"
        r"(?m:^)[^\S\n]*(?:system|developer|admin)\s*: *(?:you|ignore|new|always|never|do not|don't|override|"
        r"from now)\b|"
        r"(?m:^)[^\S\n]*\[\s*(?:system|developer|admin)(?: \w+)?\s*\]",
    ),
    _rule(
        ("prompt", "instructions"),
        r"\b(?:reveal|print|repeat|output|leak|show|expose|dump|tell|give)\b[^.!?\n]{0,30}\b(?:system prompt|"
        r"hidden prompt|your instructions|your prompt)",
    ),
    _rule(
        ("you are now",),
        r"\byou are now\b[^.!?\n]{0,30}\b(?:dan\b|jailbr\w+|unrestricted|developer mode|root|admin\w*|"
        r"unfiltered|in .{0,12}mode)",
    ),
    _rule(
        ("user", "owner", "human", "confirmation", "approval"),
        r"\b(?:do not|don't|never)\b[^.!?\n]{0,20}\b(?:tell|inform|mention|reveal|disclose|notify|alert|ask)\b"
        r"[^.!?\n]{0,25}\b(?:the user|users?|the owner|the human|a human)\b|"
        r"\bwithout\b[^.!?\n]{0,20}\b(?:telling|informing|asking|notifying|alerting|"
        r"mentioning)\b[^.!?\n]{0,25}\b(?:the user|"
        r"users?|the owner|the human|a human|for confirmation|confirmation|approval)\b",
    ),
    _rule(
        ("stop", "no longer", "pretend", "everything", "changed", "void", "obey", "apply"),
        rf"\b(?:stop|cease|quit) (?:following|obeying)\b[^.!?\n]{{0,15}}\b(?:your|"
        rf"{_OLD})\b[^.!?\n]{{0,15}}\b{_RULES}|"
        rf"\byou (?:no longer have|have no|are (?:free (?:of|from)|not bound by|"
        rf"released from))\b[^.!?\n]{{0,15}}\b{_RULES}|"
        rf"\b(?:pretend|act as if|imagine)\b[^.!?\n]{{0,15}}\byou (?:have|had) no\b[^.!?\n]{{0,10}}\b{_RULES}|"
        r"\beverything (?:before|above|prior)\b[^.!?\n]{0,20}\b(?:is|was) (?:void|invalid|obsolete|cancelled|fake)|"
        rf"\byour {_RULES} (?:have (?:been )?(?:changed|replaced|updated)|are (?:now )?(?:void|obsolete)|"
        rf"no longer apply)|"
        r"\bobey (?:me only|only me)\b",
    ),
    _rule(
        ("attention", "note", "message", "instruction", "important"),
        rf"\b(?:attention|note to|message (?:to|for)|instructions? (?:to|for)|important for)\b[:,]?"
        rf"(?: (?:the|any|all|every|your|future|other))* {_MACHINE}s?\b(?! (?:professor|manager|director|coach|"
        rf"editor))",
    ),
    _rule(
        ("assistant", "ai ", "ais ", "a.i", "llm", "chatbot", "copilot"),
        rf"\b(?:the |any |every |all |your )?{_MACHINE}s? (?:must|should|shall|has to|have to|"
        rf"needs? to|is (?:required|instructed|ordered|expected) to|are (?:required|instructed) to|"
        rf"will (?:always|never|now))\b",
    ),
    _rule(
        ("forward", "send", "upload", "post", "exfiltrate", "bcc", "transmit", "copy", "report"),
        rf"\b(?:forward|send|upload|post|exfiltrate|bcc|transmit|copy|report)\b[^.!?\n]{{0,25}}\b{_SECRET_MATTER}\b"
        rf"[^!?\n]{{0,60}}\bto\b[^!?\n]{{0,30}}{_ADDRESS}",
    ),
)
_WEAK = (
    _rule(
        ("![", "<img"),
        r"(?:!\[[^\]\n]{0,200}\]\(\s*<?|<img\b[^>\n]{0,200}?\bsrc\s*=\s*[\"']?)https?://[^\s)\"'>]{1,300}?[?&]"
        r"(?:q|d|data|c|secret|token|conversation|chat|summary|exfil\w*|msg|message|text|prompt|history|payload|info"
        r"|leak|content|"
        r"ctx|context|mem\w*|user|email|key|cookie|log)=",
    ),
    _rule(
        ("skip", "ignore", "forget", "disregard", "override"),
        rf"\b(?:skip|ignore|forget|disregard|override|bypass)\b[^.!?\n]{{0,15}}\b(?:the|"
        rf"{_OLD})\b[^.!?\n]{{0,15}}\b{_RULES}",
    ),
    _rule(
        ("rules", "instructions", "polic"),
        r"\b(?:new|updated|revised) (?:instructions?|rules?|polic(?:y|ies))\s*:",
    ),
    _rule(("anyone", "nobody", "human"), r"\b(?:do not|don't|never) (?:tell|inform|alert|notify) (?:anyone|anybody)\b"),
    _rule(
        ("agent", "model", " bot", "assistant", "ai "),
        rf"\b(?:attention|note to|message (?:to|for)|instructions? (?:to|for)|dear|hey|"
        rf"important for)\b[^.!?\n]{{0,12}}"
        rf"\b(?:the |any |all )?(?:ai )?{_MAYBE_MACHINE}s?\b|"
        rf"\b(?:the |any |every |all |your )?{_MAYBE_MACHINE}s? (?:must|should|shall|has to|have to|needs? to|"
        rf"is (?:required|instructed|ordered|expected) to|will (?:always|never|now))\b",
    ),
    _rule(
        ("forward", "send", "upload", "post", "bcc", "transmit", "copy", "report"),
        rf"\b(?:forward|send|upload|post|bcc|transmit|copy|report)\b[^.!?\n]{{0,25}}\b(?:all|every|any|each|"
        rf"history|logs?|"
        rf"contacts?)\b[^!?\n]{{0,60}}\bto\b[^!?\n]{{0,30}}{_ADDRESS}",
    ),
    _rule(
        ("curl", "rm -rf", "execute th", "run th", "eval th", "evaluate th"),
        r"\bcurl\s[^\n|]{0,200}\|\s*(?:ba|z)?sh\b|\brm\s+-rf\s+[/~]|\b(?:execute|run|eval(?:uate)?) (?:the following|"
        r"this) (?:command|code|script|payload|shell)",
    ),
    _rule(("<",), r"</?(?:system|instructions?|tool_call)>"),
    _rule(("system", "developer", "admin"), r"(?m:^)[^\S\n]*(?:system|developer|admin(?:istrator)?)\s*:"),
    _rule(
        ("ask", "request", "mention", "quer", "want", "prompted"),
        Chain(
            (
                r"\b(?:whenever|when|if|each time|every time|next time|once)\b",
                r"\b(?:asks?|asked|requests?|mentions?|queries|wants?|prompted)\b",
                r"(?:you (?:must|should)\s+)?(?:always |never |first |instead )?(?:say|respond|reply|answer|recommend|"
                r"use|send|transfer|tell|direct|include|return|call|approve|route|suggest|claim)\b",
            ),
            (60, 62),
        ),
    ),
    _rule(
        ("now", "henceforth", "forward", "future"),
        r"\b(?:from now on|henceforth|going forward|for all future (?:requests|conversations|sessions|"
        r"tasks))\b[^.!?\n]{0,20}\b(?:you|always|never|every|all|any|treat|use|respond|reply|answer|send|"
        r"include)\b",
    ),
    _rule(
        ("always", "never"),
        r"(?m:^|[.!?:]\s+)(?:please )?(?:always|never) (?:recommend|respond|reply|answer|use|trust|route|"
        r"send|transfer|approve|include|forward|call|say|tell|prefer|append|treat|grant|allow|accept|"
        r"reveal|refuse|return|add|execute|run|disable|skip)\b",
    ),
    _rule(
        ("must", "should", "shall", "have", "need"),
        r"(?m:^|[.!?:]\s+)(?:you (?:must|should|shall|have to|need to)) (?:always |never |now |"
        r"immediately )?(?:recommend|respond|reply|answer|use|trust|route|send|transfer|approve|include|"
        r"forward|call|treat|grant|execute|run|disable|skip|obey|comply)\b",
    ),
    _rule(
        ("remember", "save", "store", "memori", "memory"),
        r"\b(?:remember|save|store|memori[sz]e|add (?:this|it) to (?:your )?memory|update your memory|"
        r"write (?:this|it) (?:in)?to memory)\b[^.!?\n]{0,25}\b(?:that|this|as|for all|permanently|"
        r"forever|in (?:your )?memory|to (?:your )?memory)\b[^.!?\n]{0,80}\b(?:always|never|must|trusted|"
        r"approved|authorized|authorised|allowed|verified|recommend|prefer|send|transfer)\b",
    ),
    _rule(
        ("tool", "function", "api", "plugin", "action"),
        r"\b(?:call|invoke|use|trigger)\b the [\w-]{2,30} (?:tool|function|api|plugin|action)\b (?:with|to|and)",
    ),
    _rule(
        ("approve", "confirmation", "verification"),
        r"\b(?:pre-?approved|auto-?approve|no (?:further )?(?:confirmation|approval|"
        r"verification) (?:is )?(?:needed|required|necessary))\b",
    ),
    _rule(
        ("act as", "pretend"),
        r"\bact as (?:an? )?(?:admin|root|system|unrestricted|developer)|\bpretend (?:to be|you are|that you)",
    ),
)


class Likeness(IntEnum):
    """How much a text is like an order to a model: not at all; as people also talk; as only an attack does."""

    NONE = 0
    WEAK = 1
    STRONG = 2


def likeness_of(text: str) -> Likeness:
    """How much the text, or what is hidden in it, is like an order to a model."""
    plain = legible(text)
    found = _likeness(plain)
    if found is not Likeness.STRONG:
        found = max([found, *(_likeness(hidden) for hidden in undisguised(plain))])
    return found


def _likeness(text: str) -> Likeness:
    folded = text.casefold()
    if holds(_STRONG, text, folded) or commands_machine(text, folded):
        return Likeness.STRONG
    if orders_abroad(text, folded) or orders_in_tongues(text, folded) or is_unbound(text):
        return Likeness.STRONG
    weak = (
        holds(_WEAK, text, folded)
        or addresses_machine(text, folded)
        or asks_for_secrets_abroad(text, folded)
        or is_embedded(text)
        or holds_turns(text)
    )
    return Likeness.WEAK if weak else Likeness.NONE
