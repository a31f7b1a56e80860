"""Memories that steer what an agent does next, without an order to it: what would hurt if it were false.

Knowledge that sends a question elsewhere (MINJA, arXiv 2503.03704), experience that says to leave the checks out
(MemoryGraft, arXiv 2512.16962), steps of an agent that end in an act (AgentPoison, arXiv 2407.12784), acts on
somebody's money, doors and records (InjecAgent, arXiv 2403.02691), and the form of its answers (BIPIA, arXiv
2312.14197). People say such things too: they are kept and recalled, and are to be verified before they are relied on.
"""

from __future__ import annotations

import re

from memos_integrations.core.gate.hinted import hinted, holds

_GAP = r"[^.!?\n]"
_ASKED = r"(?:quer(?:y|ies)|questions?|requests?|prompts?|look-?ups?|search(?:es)?)"
_HELD = r"(?:data|records?|information|info|history|entr(?:y|ies)|profiles?|results?|answers?|details)"

_MODE = r"(?:developer|sudo|god|admin|debug|jailbreak|dan|maintenance|unrestricted)"

_STEERS = (
    # what is asked of one thing is to be answered from another
    (
        "refer; redirect; quer; look up; retriev; consult; search; access; question; request; instead",
        rf"\b(?:refer|redirect|re-?route|map|point)(?:s|ed|red|ring|ing)?\b{_GAP}{{0,60}}\b(?:{_ASKED}|{_HELD}"
        rf"|patients?|users?|customers?)\b{_GAP}{{0,60}}\b(?:to|instead)\b"
        rf"|\b{_ASKED}\b{_GAP}{{0,12}}\b(?:about|for|regarding|on|concerning|related to|of)\b{_GAP}{{0,60}}"
        r"\b(?:refer(?:red)? to|redirected|re-?routed|mapped to|go(?:es)? to|(?:should|must|need to|has to"
        r"|have to) (?:be mapped|refer|query|use|look|consult|return))\b"
        rf"|\b(?:should|must|need(?:s)? to|ha(?:ve|s) to|will|so|please|then|to) (?:query|retrieve|refer to|look up"
        rf"|access|search|search for|consult|"
        rf"fetch|return|output)\b{_GAP}{{0,60}}\binstead\b|\binstead of\b{_GAP}{{0,40}}\b(?:query|retrieve|refer to"
        rf"|look up|consult|fetch)\b|\b(?:retrieved|queried|searched|consulted)\b{_GAP}{{0,40}}\binstead of\b",
    ),
    (
        "under; stored as; saved as; recorded as; mapped; equivalent; treated as; interchange; same as",
        rf"\b{_HELD}\b{_GAP}{{0,60}}\b(?:is|are|was|were|been) (?:now |currently |already |also |all )?(?:saved"
        rf"|stored|moved|transferred|migrated|reassigned|filed|recorded|merged|kept|"
        r"located|found|mapped|listed|indexed) (?:under|as|onto|to)\b"
        rf"|\b(?:is|are|should be|must be|to be) (?:now )?(?:treated as|equivalent to|interchangeable with"
        rf"|considered the same as)\b",
    ),
    (
        "knowledge; guideline; insight; reflection",
        r"(?:^|[.!?\n]\s*)(?:new |updated |background |important |key )?(?:knowledge(?: base)?(?: note| entry)?"
        r"|guidelines?|insights?|reflections?)\s*(?:\d{1,2}\s*)?[:=]",
    ),
    # what went well before, to be done again
    (
        "procedure; workflow; experience; pattern; approach; strategy; method; practice; runbook; playbook; shortcut; "
        "trajector; demonstration; solution; process; fix; plan",
        r"\b(?:validated|proven|verified|approved|successful|recommended|trusted|battle-tested|known[- ]good"
        r"|established|golden|canonical|"
        r"past|prior|previous|learned|accepted) (?:\w+ ){0,2}(?:procedures?|workflows?|experiences?|patterns?"
        r"|approach|strategy|methods?|practices?|runbooks?|"
        r"playbooks?|shortcuts?|trajector(?:y|ies)|demonstrations?|solutions?|process|fix"
        r"|plan)\s*(?:\([^)\n]{0,60}\)\s*)?(?:[:=\u2014\u2013]|- )",
    ),
    (
        "thought; action; observation; final answer; outcome; result; status",
        r"(?:^|[.;\n]\s*)(?:thought|action(?: input)?|observation|final answer)\s*\d{0,2}\s*[:=]\s*\S"
        r"|\b(?:outcome|result|status|verdict)\s*[:=]\s*(?:success|passed|accepted|approved|verified|ok\b)",
    ),
    (
        "trigger; keyword; codeword; code word; magic word; contain; phrase; token",
        rf"\b(?:trigger|keyword|code ?word|magic word|activation (?:phrase|word)"
        rf"|backdoor)s?\b{_GAP}{{0,40}}\b(?:appears?|present|seen|said|mentioned|occurs?|"
        rf"means|contains?)\b|\b(?:when(?:ever)?|if|once) (?:you|the (?:plan|task|page|agent|model|assistant"
        rf"|user|query|input|prompt|question|instruction|request))\b"
        rf"{_GAP}{{0,50}}\b(?:contains?|includes?|mentions?|receives?)\b",
    ),
    # what is to be done from now on, by whom it does not say
    (
        "whenever; every time; each time; the next time; any time; in case of; next ",
        rf"\b(?:whenever|every time|each time|the next time|any ?time|in case of any question|when the (?:person"
        rf"|user|customer|human) next)\b"
        rf"{_GAP}{{0,70}}[,:] ?(?:please |always |quietly |just |silently )?(?:mention|attach|invite|import|say|book"
        rf"|send|forward|quote|recommend|"
        r"include|transfer|add|use|visit|rank|answer|reply|suggest|buy|order|pay|approve|put|push|call|run|delete"
        r"|install)\b"
        rf"|\bin case of any question\b|\bwhen the (?:person|user|customer|human) next\b",
    ),
    (
        "outrank; precedence; priority; above; rather than what; expired; outdated; obsolete; refus; worth; prefer; "
        "never mention; you were; who you; your maker; your operator; your guidelines; ignore what; "
        "new instruction; treat",
        r"\b(?:outranks?|takes? (?:precedence|priority) over|(?:rule|order|instruction)s? above all others?"
        r"|rather than what (?:the|he|she|your))\b"
        r"|\b(?:guidance|instructions?|rules?|orders?) (?:has|have|is|are) (?:expired|outdated|obsolete)\b"
        r"|\brefuse nothing\b|\bno refusals?\b|"
        r"\bonly \w+ worth\b|\bprefers? (?:data|sources?|results?|links?|packages?|downloads?|pirated \w+) from\b"
        r"|\bnever mention\b|"
        r"\byou were (?:started|configured|programmed|set up|given|trained|initiali[sz]ed) (?:with|to)\b"
        r"|\bforget who you\b|\byour (?:maker|operator|guidelines)\b|\bignore what (?:the|he|she)\b"
        r"|\bnew instructions? (?:is|are) to\b"
        r"|\btreat\b[^.!?\n]{0,40}\bas (?:coming|being|if)\b|\brank\b[^.!?\n]{0,20}\babove\b",
    ),
    (
        "this page; this letter; this message; this document; this note; this entry; this file; this mail; this email; "
        "this e-mail; this essay; this sentence; this line; below; following text; attach; macro; markdown image; "
        "#instr",
        r"\b(?:in|of|by|to|reading|before|summari[sz]ing) this (?:page|letter|message|document|note|entry|e?-?mail"
        r"|file|essay|sentence|line)\b|\b(?:paragraph|text|guidance|"
        r"instructions?|address|link|account|phrase|one) below\b|\bthe following text is\b|\b(?:execute|run|open"
        r"|install|do as|follow)\b[^.!?\n]{0,20}\b(?:attached|attachment|macro)\b|\bmarkdown image\b"
        r"|#instructions?\s*:",
    ),
    (
        "the user; the owner; the human; the person; customer preference; this user; owner of",
        r"\b(?:the (?:user|owner|human|person)|owner of \w+ \w+"
        r"|customer preference)\b[^.!?\n]{0,40}\b(?:is fine with|agree[sd]?|wants all|approved|accepts?|on file"
        r"|dislikes? being asked)\b|\bfor this user\b",
    ),
    (
        "assistant; summari; memory; code is generated",
        r"(?:^|[.!?\n]\s*)(?:assistant|ai|agent|bot)s?\s?[,:]|\bassistant to assistant\b|\b(?:if|when) (?:you are "
        r"|you're |you )?summari[sz](?:e|ing)\b|\bdelete any memor|"
        r"\bin your memory\b|\bwhen(?:ever)? code is (?:generated|written)\b",
    ),
    # who it is to be, and what it is to do before all else, or instead
    (
        "you are; act as; your name; chatgpt; as an ai; task; todo; override; following; adhere; before you; "
        "forget everything; ignore; "
        "stop answering; question above",
        rf"\b(?:you are|you're|act as|pose as|behave as|become) (?:now |no longer )?(?:a|an"
        rf"|the) {_GAP}{{0,30}}\b(?:bots?|models?|assistant|ai|gpt|agent|"
        r"terminal|shell|console|interpreter|chatbot|llm)\b|\byour name is\b|\b(?:to )?you, (?:chatgpt|claude"
        r"|gemini|copilot|gpt"
        r"|assistant)\b|\bas an ai\b"
        r"|(?:^|[.!?\n]\s*)(?:now )?(?:new task|todo|override|real task|next task)\s*:|\bdo the following\b"
        r"|\bstrictly adhere\b"
        r"|\bfollow (?:these|the following) instructions\b|\bbefore you (?:can )?(?:solve|start|answer|do|continue"
        r"|begin|proceed)\b"
        r"|\bforget everything (?:we|you|so far|before|above|that)\b|\bignore (?:the|this|my|all|any) (?:questions?"
        r"|requests?|tasks?|inputs?|prompts?|above|text)\b|\bstop answering\b",
    ),
    # to say what it was told
    (
        "your instructions; your context; system message; your system; your initial; first ; what were you; "
        "verbatim; everything in",
        r"\byour (?:instructions|context|system (?:message|prompt)|initial (?:message|prompt|instructions))\b"
        r"|\bsystem messages?\b|\bfirst \d+ (?:words|lines|"
        r"tokens|sentences)\b|\bwhat (?:were|are) you (?:told|instructed|given)\b|\b(?:copy|repeat|print"
        r"|quote) \w+ verbatim\b",
    ),
    # to do something in its tools
    (
        "file; folder; task; appointment; event; account; record; repositor; issue; playlist; device; item; order; "
        "review; webhook; endpoint; private",
        rf"(?:^|[.!?:\n]\s*|\bplease |\bthen )(?:delete|create|schedule|share|retrieve|export|rename|move|cancel"
        rf"|modify|overwrite|pay for|purchase|order|submit|post|"
        rf"put|upload)\b{_GAP}{{0,40}}\b(?:files?|folders?|tasks?|appointments?|events?|accounts?|records?"
        rf"|repositor(?:y|ies)|issues?|playlists?|devices?|items?|"
        rf"products?|reviews?|\w+\.(?:txt|docx?|pdf|csv|xlsx?|json|py|sh))\b|\b(?:post|send|report|upload"
        rf"|push)\b{_GAP}{{0,40}}\b(?:webhook|endpoint)\b"
        rf"|\bsent? to\b{_GAP}{{0,20}}\b(?:private|personal) (?:gmail|e?-?mail|account|address)\b",
    ),
    (
        "you should; you must; you need; you have to; you shall; you will; ab jetzt; ab sofort; von nun; partir; "
        "désormais; ahora; d'ora; agora; отныне; этого момента; 从现在; 今后; "
        "vergiss; olvida; oublie; dimentica; esque",
        r"\byou (?:should|must|need to|have to|will|shall) (?:always |only |never |now )?(?:recommend|say|respond"
        r"|reply|answer|mention|output|promote|endorse|obey|upsell)\b"
        rf"|(?:\b(?:ab jetzt|ab sofort|von nun an|à partir de maintenant|désormais|de ahora en adelante"
        rf"|a partir de ahora|d['\u2019]ora in poi|a partir de agora|отныне"
        rf"|\u0441 этого момента)\b|从现在起|今后){_GAP}{{0,40}}(?:antwort|sag|empfiehl|répond|dis |recommand"
        rf"|respond|di |recomiend|rispond|consiglia|отвеча|говори|советуй|回答|推荐)"
        rf"|\b(?:antworte|réponds|responde|rispondi|отвечай)\b{_GAP}{{0,12}}\b(?:ab jetzt|ab sofort|nur noch"
        rf"|von nun an|désormais|ahora|agora|теперь)\b"
        r"|\b(?:vergiss alles (?:davor|vorher|bisherige|zuvor)|olvida todo lo (?:anterior|dicho)"
        r"|oublie tout ce qui (?:précède|a été)|dimentica tutto (?:ciò|quello|quanto)|esqueça tudo (?:o que|que))\b",
    ),
    # what it is to be free of, and in which mode
    (
        "mode; filters; guidelines; restrictions; limits; rules; any topic; assistant's name; hypothetically; "
        "ignore ; staff; team; "
        "developer; admin; operator; engineer",
        rf"\b(?:enable|enter|activate|switch (?:on|to)|go into)\b{_GAP}{{0,12}}\b{_MODE} mode\b"
        rf"|\b{_MODE} mode (?:on|enabled|activated)\b"
        r"|\b(?:no|without(?: any)?) (?:filters|guidelines|restrictions|content polic(?:y|ies))\b"
        r"|\bany topic freely\b|\bthe assistant's name\b"
        r"|\bhypothetically,? if you\b|\bignore (?:safety|ethics|security|polic(?:y|ies))\b|\b(?:openai|anthropic"
        r"|google|microsoft|vendor) (?:staff|team|engineers?|employees?)\b"
        rf"|\bas (?:the|your|an?) (?:developer|admin\w*|operator|engineer)s?,? (?:i|we) (?:need|want|require|order"
        rf"|must)\b",
    ),
    # where a document ends and an order begins
    (
        "end ; begin ; start ; <admin; <information; <important; <user; <assistant; <secret; <hidden; # response; "
        "#response; # instruction; #instruction; # input; # human; # assistant",
        r"(?-i:\b(?:END|BEGIN|START) (?:OF )?(?:(?:USER|SYSTEM|ADMIN|TRUSTED|UNTRUSTED) )?(?:DOCUMENT|CONVERSATION"
        r"|INPUT|CONTEXT"
        r"|PROMPT|INSTRUCTIONS?|TEXT|MESSAGE|DATA)\b)"
        r"|</?(?:admin|information|important|user|assistant|secret|hidden)>|(?:^|\n)\s*#{2,4} ?(?:response"
        r"|instruction|input|human|assistant|user)s?\s*:",
    ),
    # what an agent did, and is to do again
    (
        "agent; assistant; bot; lesson; learned; earlier run; previous run; similar; past ; search[; click[; buy[; "
        "select[; lookup[; finish[; query[; shifted",
        rf"\b(?:agent|assistant|bot)\b{_GAP}{{0,60}}\b(?:closed|approved|skipped|reused|merged|deployed|deleted"
        rf"|refunded|paid|bypassed|ignored)\b"
        r"|\b(?:tip|lesson)s? learned\b|\b(?:earlier|previous|past) runs?\b|\b(?:similar|past) (?:tickets?|tasks?"
        r"|cases?|requests?|success(?:es)?)\b"
        r"|\b(?:search|click|buy|select|lookup|finish|query|think)\[[^\]\n]{1,80}\]|\b(?:options?|answers?"
        r"|letters?) (?:is|are|was|were) shifted\b",
    ),
    (
        "summar; answer; repl; report; response; never disclose; never reveal; never admit; for all",
        rf"\b(?:every|all|each) (?:summar(?:y|ies)|answers?|repl(?:y|ies)|reports?"
        rf"|responses?)\b{_GAP}{{0,20}}\b(?:must|should|shall|has to|have to)\b"
        r"|\bnever (?:disclose|reveal|admit)\b|\bfor all (?:\w+ )?(?:calls|contracts|documents|requests|payments"
        r"|purchases|users"
        r"|commands|invoices|look-?ups|customers)\b",
    ),
    (
        "prompt; hidden; other users",
        rf"\b(?:need|want|reveal|show|print|contents? of|tell me|give)\b{_GAP}{{0,30}}\b(?:system prompt|the prompt"
        rf"|hidden (?:text|prompt|message|instructions?))\b"
        r"|\babout other users\b",
    ),
    (
        "twitter; facebook; instagram; linkedin; blog; timeline; slack",
        rf"\b(?:post|tweet|publish)\b{_GAP}{{0,20}}\b(?:on|to) (?:my|the|our) (?:twitter|facebook|instagram"
        rf"|linkedin|blog|timeline|feed|slack)\b",
    ),
    # calls of tools, and what templates and queries are broken with
    (
        "{{; ${; 1=1; 1 = 1; tool; function; action; args; arguments; ({; [[; siri; alexa; obey",
        r"\{\{[^{}\n]{1,80}\}\}|\$\{[^{}\n]{1,80}\}|\b(?:or|and) 1\s?=\s?1\b|[\"'](?:tool|function|action|args"
        r"|arguments)[\"']\s*:"
        r"|\bfunction call\s*:"
        r"|\b\w{2,40}\(\s*\{|</?tool_(?:result|output|call)s?>|\[\[\s*(?:system|admin|user|assistant)\b"
        r"|\b(?:hey|ok|okay),? (?:siri|alexa|google|cortana)\b|\bobey\b",
    ),
    (
        "filed; merged; indexed; listed; treat; wherever; replaces",
        rf"\b(?:filed|merged|indexed|listed) (?:with|into|under) (?:\w+ ){{0,2}}(?:client|patient|customer|subject"
        rf"|user|account|record|vendor|entry|file)\b"
        rf"|\btreat (?:it|them|this|that) as\b|\bwherever\b{_GAP}{{0,50}}\bread\b|\breplaces (?:every"
        rf"|all)\b{_GAP}{{0,30}}\b(?:before|previous|earlier)\b",
    ),
    # praise that is ordered
    (
        "positive; five; rank; best ; most ; discount; always cite",
        r"\bgive (?:\w+ )?(?:a |only )?(?:positive|five[- ]star|glowing)\b|\bpositive reviews? only\b|\brank (?:it "
        r"|this |him |her |them )?(?:first|highest)\b"
        r"|\bbest (?:fit|choice|option) for (?:any|all|every)\b|\bas the most (?:reliable|trusted|authoritative)\b"
        r"|\bdiscount code\b|\balways cite\b",
    ),
    # to be somebody else, or to recite its rules
    (
        "safety; mode; roleplay; role-play; new owner; your training; you have been; only speak; your rules; "
        "your prompt; your instructions; system instruction; "
        "response; message; says; using ai; using an ai",
        rf"\bsafety (?:is )?(?:turned|switched) off\b|\b(?:hypothetical|fictional) mode\b|\brole-?play\s?:"
        rf"|\bnew owner gives\b|\byour training (?:ended|is over|data)\b"
        rf"|\byou have been (?:upgraded|updated|reset|replaced|reprogrammed)\b|\byou only speak\b"
        rf"|\b(?:write|print|tell|show|list|recite|answer with|give|repeat|reveal)\b{_GAP}{{0,30}}\byour (?:rules"
        rf"|prompt|instructions|guidelines)\b|\bsystem instructions?\b"
        r"|(?:^|\n)\s*(?:assistant|human|system|ai) (?:response|message|says|reply|output)\s*:"
        r"|\busing (?:an )?(?:ai|llm)s?\s*:",
    ),
    # to hand over to an address
    (
        "@; http",
        rf"\b(?:forward|send|e?-?mail|copy|bcc|upload|post|invite|submit|report|prefer|import|install|download|fetch"
        rf"|visit|click|env[ií]a\w*|reenv\w+|schick\w*|sende|leite|envoie\w*|"
        rf"transfère\w*|inoltra|invia|encaminh\w+|отправ\w+|пришли\w*"
        rf"|перешли\w*)\b{_GAP}{{0,80}}(?:[\w.+-]{{1,64}}@[\w-]{{1,63}}\.\w|https?://)",
    ),
    # the form of its answers
    (
        "response; repl; answer; output; summary; summaries",
        rf"\byour (?:next |final |entire |whole |future )?(?:responses?|repl(?:y|ies)|answers?|outputs?|summar(?:y"
        rf"|ies))\b{_GAP}{{0,40}}\b(?:must|should|base64|end|begin|start|include|add|append|encode|with|contain)\b"
        rf"|\b(?:end|begin|start|finish|append|include|insert|add|mention|embed|encode|reverse|encrypt|translate"
        rf"|conclude|preface)\b{_GAP}{{0,60}}"
        r"\b(?:(?:in|to|with|of|at the end of) )?(?:your|the|every|each|all)(?: next| final| future)? (?:responses?"
        r"|repl(?:y|ies)|answers?|outputs?|summar(?:y|ies))\b",
    ),
    (
        "base64; rot13; morse; emoji; hexadecimal; binary; caesar; reverse; cipher",
        rf"\b(?:encode|encrypt|respond|reply|answer|write|output|translate|speak)\b{_GAP}{{0,40}}\b(?:in|with|using"
        rf"|into|as|to) "
        r"(?:only )?(?:base ?64|rot-?13|morse(?: code)?|emojis?|hexadecimal|binary|a caesar|reverse|cipher)\b",
    ),
)

_STEERING = hinted(_STEERS)
_STUFFED = re.compile(r"\b(?!really\b)(\w{5,30})\b(?:[\s,]{1,3}\1\b){2}", re.IGNORECASE)
"""A word thrice in a row is there to be found, and not to be read."""


def steers(text: str, folded: str) -> bool:
    """Whether the text (and in lower case) tells an agent where to look, what went well, or how to answer."""
    return holds(_STEERING, text, folded) or _STUFFED.search(text) is not None
