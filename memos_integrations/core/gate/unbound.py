"""Whether a text wants a model to play somebody who is bound by nothing: personas that never refuse and know no rules.

No single sign tells it, for people also speak of refusing, of characters and of what is forbidden; two that stand
together do. The signs are those of collected jailbreak prompts (Shen et al. 2024, *Do Anything Now*).
"""

from __future__ import annotations

import re

_FLAGS = re.IGNORECASE
_ROLE = re.compile(
    r"\byou(?:'re| are| will| shall| must| should| can)(?: (?:now|also|always|only|both|going to|about to|to|be|"
    r"have to|no longer|then|instead))* (?:act|acting|pretend\w*|role-?play\w*|playing|simulat\w+|imitat\w+|embod\w+|"
    r"respond\w*|answer\w*|reply|replying|repl(?:ies)|immers\w+|become|stay\w*|remain\w*|generate|ignore|be known as|"
    r"an? (?:[\w-]+ ){0,3}(?:ai|bot|chatbot|assistant|model|character|machine|entity|simulator|program))\b"
    r"|\b(?:stays?|remain|keep|never break|break(?:ing)?|breaks?) (?:in |out of )?character\b"
    r"|(?:^|[.!?:\"]\s*)(?:please |now,? |let's |hello,? |hi,? )?(?:act|pretend|role-?play|simulate|imagine|behave|"
    r"respond|answer|speak|talk)\b[^.!?\n]{0,30}\b(?:as|like|that|you|to be|with two)\b"
    r"|\byou are (?:now )?[A-Z]\w*(?:GPT|Bot|AI)\b|\b\w+(?:GPT|Bot)\b(?: is| will| must| should| can| has)\b"
    r"|\b(?:the|this|a|an|your) (?:[\w-]+ ){0,3}(?:persona|jailbreak|alter ego)\b"
    r"|\bi want you to (?:act|pretend|play|be|behave|answer|respond)|\bfrom now on\b",
    _FLAGS | re.MULTILINE,
)
_YIELDS = re.compile(
    r"\b(?:never|cannot|can'?t|can not|won'?t|will not|must not|mustn'?t|not (?:be )?able to|isn'?t allowed to|"
    r"not allowed to|doesn'?t|does not|do not|don'?t|unable to|without)\b(?: ever| even)? "
    r"(?:refus\w+|declin\w+|reject\w*|deny\w*|denies|censor\w*|say (?:no|sorry|that you|you can)|apologi\w+|"
    r"moraliz\w+|judg\w+|lectur\w+|warn\w*|remind\w*|care about (?:legal|ethic|moral))"
    r"|\bno matter (?:how|what)\b[^.!?\n]{0,60}\b(?:illegal|unethical|immoral|dangerous|offensive|inappropriate|"
    r"harmful|reckless|request)"
    r"|\b(?:compl(?:y|ies) with|fulfil\w*|answers?|follows?|obeys?|execute)\b[^.!?\n]{0,12}\b(?:any|every|all|whatever)"
    r"\b[^.!?\n]{0,30}\b(?:requests?|questions?|commands?|orders?|prompts?|instructions?|user)",
    _FLAGS,
)
_FREE = re.compile(
    r"\b(?:amoral|uncensored|unfiltered|unrestricted|jailbr(?:oken|eak(?:ed)?)|do anything now|developer mode|"
    r"limitless|unethical ai)\b|\bDAN\b"
    r"|\b(?:no|zero|without|without any|lacks?|free (?:of|from)|not (?:bound|constrained|limited|restricted) by|"
    r"bypass\w*|disregard\w*|ignor\w+|broken free (?:of|from)|break(?:s|ing)? free (?:of|from)|removes? (?:all|any))\b"
    r"(?: (?:any|all|the|of|your|its|my|such|kind|typical|usual|standard|openai'?s?|ethical|moral|legal|or|and|"
    r"content|safety|social|traditional))*"
    r" (?:restrictions?|limit(?:s|ations?)?|censorship|censor|filters?|filtering|morals?|morality|ethics?|guidelines?|"
    r"boundaries|rules|polic(?:y|ies)|disclaimers?|warnings?|confines|regulations?|safeguards?|scruples|remorse|"
    r"principles|inhibitions|standards)\b",
    _FLAGS,
)
_HARM = re.compile(
    r"\b(?:illegal|unethical|immoral|harmful|dangerous|offensive|nsfw|explicit content|hateful|inappropriate|"
    r"malicious|controversial|illegality|taboo|profan\w+|swear(?:ing)?|curs(?:e|ing))\b",
    _FLAGS,
)
_MODEL = re.compile(
    r"\b(?:openai|anthropic|chat ?gpt|gpt-?\d\S*|\w+gpt|language model|content polic\w+|usage polic\w+|"
    r"ethical guidelines|as an ai|ai model|large language|(?-i:AI))\b",
    _FLAGS,
)


def is_unbound(text: str) -> bool:
    """Whether the signs stand together that only such a persona has."""
    role, free = _ROLE.search(text) is not None, _FREE.search(text) is not None
    if not role and not free:
        return False
    yields, harm = _YIELDS.search(text) is not None, len(set(map(str.casefold, _HARM.findall(text))))
    model = _MODEL.search(text) is not None
    if role:
        return (free and (yields or harm > 0 or model)) or (yields and (harm > 0 or model)) or (model and harm > 1)
    return yields and (harm > 0 or model)
