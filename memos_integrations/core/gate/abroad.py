"""Orders to a machine in other languages than English: the same few things that an attack says.

To ignore what it was told, to show it, to be without limits, to keep something from its user; and who is meant. People
say parts of that too; all of it in one sentence they do not. Phrasings: public collections of prompt injections (OWASP
LLM01; Willison 2022), put into these languages.
"""

from __future__ import annotations

import re

_GAP = r"[^.!?\n。\uff01\uff1f]"

_IGNORE = (
    r"(?:(?<!ich )ignorier(?:e|t)?\b|ignorieren sie|vergiss\b|vergesst|vergessen sie|missachte?\b|ignora\b|ignorad\b|"
    r"olvid(?:a|ad|e)\b|haz caso omiso|(?<!j')(?<!je )ignore[zs]?\b|(?<!j')oublie[zs]?\b|ne t(?:iens|"
    r"enez) pas compte|"
    r"dimentica|ignorate|esque(?:ça|ce)|desconsidere?|negeer|vergeet|zignoruj|zapomnij|игнорируй\w*|забудь\w*)"
)
_OLD = (
    r"(?:vorherig|bisherig|früher|obig|vorig|alle deine|deine|anterior|previ[ao]s|precedent|précédent|"
    r"(?:toutes|tous) (?:t|v)es|todas (?:t|s)us|tus\b|suas\b|eerdere|poprzedni|wcześniejsz|предыдущ|прежн|все\b)"
)
_TOLD = (
    r"(?:anweisung|anordnung|regel|vorgabe|instrukt|instru[cç]|regla|norma|consigne|règle|istruzion|regol|regra|"
    r"instrukcj|zasad|polecen|инструкц|правил|указани)"
)
_SHOW = (
    r"(?:zeig|gib|verrate|muestra|muéstra|revela|enseña|montre|affiche|révèle|mostra|rivela|mostre|toon|geef|pokaż|"
    r"покажи|раскрой|显示|告诉|表示|教え|보여|göster|اعرض|दिखा)"
)
_PROMPT = (
    r"(?:system-?prompt|prompts? (?:de |del |di |do |du )?(?:sistema|système)|prompt systemowy|systeemprompt|"
    r"системн\w+ (?:промпт|запрос)|系统提示|システムプロンプト|시스템 프롬프트|"
    r"sistem (?:istem|komut)|موجه النظام|सिस्टम प्रॉम्प्ट)"
)
_NOW = (
    r"(?:du (?:bist|hast) (?:jetzt|nun|ab sofort)|ahora (?:eres|estás|no tienes)|(?:tu es|vous êtes) (?:maintenant|"
    r"désormais)|ora sei|agora (?:você|tu)|je (?:hebt|bent) nu|jesteś teraz|теперь (?:ты|\u0443 тебя)|你现在)"
)
_FREE = (
    r"(?:keine(?:rlei)? (?:beschränk|einschränk|regel)|ohne (?:regeln|einschränk|beschränk)|entwicklermodus|"
    r"sin (?:restric|l[íi]mit|reglas)|no tienes l[íi]mit|modo (?:desarrollador|desenvolvedor)|"
    r"sans (?:aucune )?(?:restric|limite|règle)|mode développeur|senza (?:restriz|limiti|regole)|"
    r"modalità sviluppatore|(?:não tem|sem) (?:restriç|"
    r"limit|regras)|geen (?:beperking|regels)|bez ogranicze|нет ограничен|без ограничен|没有(?:任何)?限制)"
)
_MACHINE = r"(?:(?:ki|ai)[- ]?(?:assistent|agent|modell)\w*|asistente de ia|assistant (?:d')?ia|assistente (?:di )?ia)"

_ORDERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_IGNORE}{_GAP}{{0,40}}{_OLD}{_GAP}{{0,25}}{_TOLD}",
        rf"\b{_IGNORE}{_GAP}{{0,40}}{_TOLD}{_GAP}{{0,12}}{_OLD}",
        # verbs at the end, and scripts without spaces
        r"(?:忽略|无视|忘记|忘掉)[^。\uff01\uff1f\n]{0,12}(?:之前|以上|先前|所有)[^。\uff01\uff1f\n]{0,12}(?:指令|规则|指示|提示)",
        r"(?:以前|これまで|上記|すべて)[^。\uff01\uff1f\n]{0,12}(?:指示|ルール|命令)[^。\uff01\uff1f\n]{0,12}(?:無視|忘れ)",
        r"(?:이전|위의|모든)[^.!?\n]{0,14}(?:지시|규칙|명령)[^.!?\n]{0,8}(?:무시|잊)",
        r"\bönceki[^.!?\n]{0,20}(?:talimat|kural|komut)[^.!?\n]{0,16}(?:yok say|unut|görmezden)",
        r"(?:تجاهل|انس)[^.!?\n]{0,20}(?:التعليمات|القواعد|الأوامر)[^.!?\n]{0,12}السابقة",
        r"(?:पिछले|सभी)[^.!?\n।]{0,16}(?:निर्देश|नियम)[^.!?\n।]{0,16}(?:अनदेखा|नज़रअंदाज|भूल)",
        rf"{_SHOW}{_GAP}{{0,30}}{_PROMPT}|{_PROMPT}{_GAP}{{0,12}}{_SHOW}",
        rf"\b{_NOW}{_GAP}{{0,50}}{_FREE}|你现在[^。\uff01\uff1f\n]{{0,12}}没有(?:任何)?限制",
        rf"\b(?:an (?:den|die|alle)|für (?:den|die|alle)|para (?:el|los|o|a)|pour|per|al?|"
        rf"à l['\u2019]attention de)\b{_GAP}{{0,12}}{_MACHINE}\s*:",
        r"\b(?:der|die|jeder|el|l['\u2019]|o)\s?(?:ki-)?(?:assistent|asistente|assistant|assistente)\b "
        rf"(?:muss|soll|debe|doit|deve){_GAP}{{0,25}}\b(?:immer|nie|siempre|nunca|toujours|jamais|sempre|mai)\b",
        r"\b(?:sag\w*|informier\w*|verrate|no (?:le )?(?:informes|digas|avises)|n['\u2019](?:informe|avertis)|"
        r"ne (?:dis|"
        rf"préviens)|non (?:dire|informare)|não (?:informe|diga)){_GAP}{{0,12}}\b(?:nutzer|benutzer|anwender|usuario|"
        rf"utilisateur|utente|usuário){_GAP}{{0,8}}(?:nichts|nicht|nada|\bpas\b|rien|y\b|et\b|e\b|$)",
        r"\b(?:neue|nuevas?|nouvelles?|nuove|novas?) (?:anweisung|instruc|consigne|istruz|instruç)\w* (?:des|"
        r"del|du|de|"
        r"di|do|von) (?:l['\u2019])?(?:system|sistema|système)",
    )
)
_HINT = re.compile(
    r"ignor|verg|miss|olvid|omiso|oubli|tiens|tenez|diment|esque|descons|nege|zapom|игнор|забуд|prompt|промпт|"
    r"[^\x00-\u024f]"
    r"|du bist|du hast|ahora|maintenant|désormais|ora sei|agora|hebt|bent|jeste|ssisten|sistente|nutzer|usuari|"
    r"utilis|ssistan|"
    r"anwender|utente|neue|nuev|nouv|nuov|nova|önceki",
    re.IGNORECASE,
)


def orders_abroad(text: str) -> bool:
    """Whether the text orders a machine about in one of these languages, as people do not talk to each other."""
    return _HINT.search(text) is not None and any(pattern.search(text) is not None for pattern in _ORDERS)
