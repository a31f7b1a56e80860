"""Orders to a machine in other languages than English: the same few things that an attack says.

To ignore what it was told, to show it, to be without limits, to keep something from its user; and who is meant. People
say parts of that too; all of it in one sentence they do not. Phrasings: public collections of prompt injections (OWASP
LLM01; Willison 2022), put into these languages.
"""

from __future__ import annotations

import re

from memos_integrations.core.gate.chained import Chain

_GAP = r"[^.!?\n。\uff01\uff1f]"

_IGNORE = (
    r"(?:(?<!ich )ignorier(?:e|t)?\b|ignorieren sie|vergiss\b(?! nicht)|vergesst(?! nicht)|vergessen sie|"
    r"missachte?\b|lass(?:t|"
    r"en sie)?\b|"
    r"befolge?\b[^.!?\n]{0,30}(?:nicht|keine)|schluss mit|ignora\b|ignorad\b|olvid(?:a|ad|e)\b|haz caso omiso|"
    r"(?:deja|deje) de seguir|no sigas|(?<!j')(?<!je )ignore[zs]?\b|(?<![jn]')oublie[zs]?\b|ne t(?:iens|"
    r"enez) pas compte|"
    r"ne sui(?:s|vez) (?:plus|pas)|f(?:ais|aites) abstraction|dimentica|ignorate|smetti di seguire|esque(?:ça|ce)|"
    r"desconsidere?|pare de seguir|negeer|vergeet|volg\b|zignoruj|zapomnij|pomiń|игнорируй\w*|(?<!не )забудь\w*|"
    r"не (?:обращай\w* внимания|следуй\w*))"
)
_OLD = (
    r"(?:vorherig|bisherig|früher|oben (?:genannt|stehend)|obig|vorig|alten?\b|(?:alle )?deine[rn]?\b|anterior|"
    r"previ[ao]s|"
    r"precedent|précédent|ci-dessus|(?:toutes |tous )?(?:tes|vos)\b|(?:todas )?(?:tus|sus)\b|de arriba|suas\b|"
    r"sopra\b|"
    r"(?:le |tutte le )tue\b|acima|bovenstaand|eerdere|vorige|je\b|poprzedni|wcześniejsz|powyższ|предыдущ|прежн|выше|"
    r"все\b)"
)
_TOLD = (
    r"(?:anweisung|anordnung|regel|vorgabe|instrukt|befehl|richtlinie|instru[cç]|[óo]rdenes|regla|consigne|directive|"
    r"règle|istruzion|regol|ordini|regra|ordens|instrukcj|zasad|polecen|инструкц|правил|указани)"
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
    r"sin (?:restric|l[íi]mites?\b(?! de)|reglas)|no tienes l[íi]mites\b|modo (?:desarrollador|desenvolvedor)|"
    r"sans (?:aucune )?(?:restric|limite|règle)|mode développeur|senza (?:restriz|limiti|regole)|"
    r"modalità sviluppatore|(?:não tem|sem) (?:restriç|"
    r"limit|regras)|geen (?:beperking|regels)|bez ogranicze|нет ограничен|без ограничен|没有(?:任何)?限制)"
)
_MACHINE = r"(?:(?:ki|ai)[- ]?(?:assistent|agent|modell)\w*|asistente de ia|assistant (?:d')?ia|assistente (?:di )?ia)"

_ORDERS: tuple[Chain | re.Pattern[str], ...] = (
    Chain((rf"\b{_IGNORE}", _OLD, _TOLD), (40, 25)),
    Chain((rf"\b{_IGNORE}", _TOLD, _OLD), (40, 12)),
)
_ORDERS += tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # verbs at the end, and scripts without spaces
        r"(?:忽略|无视|忘记|忘掉)[^。\uff01\uff1f\n]{0,12}(?:之前|以上|先前|所有|上面|你的)[^。\uff01\uff1f\n]{0,12}(?:指令|规则|指示|提示)",
        r"(?:以前の|これまで|上記|すべて)[^。\uff01\uff1f\n]{0,12}(?:指示|ルール|命令)[^。\uff01\uff1f\n]{0,12}(?:無視|忘れ)",
        r"(?:이전|위의|모든)[^.!?\n]{0,14}(?:지시|규칙|명령)[^.!?\n]{0,8}(?:무시|잊)",
        r"\b(?:önceki|yukar\u0131daki|tüm)[^.!?\n]{0,20}(?:talimat|kural|komut)[^.!?\n]{0,16}(?:yok say|unut|"
        r"görmezden)",
        r"(?:تجاهل|انس)[^.!?\n]{0,20}(?:التعليمات|القواعد|الأوامر)[^.!?\n]{0,12}السابقة",
        r"(?:पिछले|सभी)[^.!?\n।]{0,16}(?:निर्देश|नियम)[^.!?\n।]{0,16}(?:अनदेखा|नज़रअंदाज|भूल)",
        rf"{_SHOW}{_GAP}{{0,30}}{_PROMPT}|{_PROMPT}{_GAP}{{0,12}}{_SHOW}",
        rf"\b{_NOW}{_GAP}{{0,50}}{_FREE}|你现在[^。\uff01\uff1f\n]{{0,12}}没有(?:任何)?限制",
        rf"\b(?:an (?:den|die|alle)|für (?:den|die|alle)|para (?:el|los|o|a)|pour|per|al?|"
        rf"à l['\u2019]attention de)\b{_GAP}{{0,12}}{_MACHINE}\s*:",
        r"\b(?:der|die|jeder|el|l['\u2019]|o)\s?(?:ki-)?(?:assistent|asistente|assistant|assistente)\b "
        rf"(?:muss|soll|debe|doit|deve){_GAP}{{0,40}}(?:empfehl|antwort|weiterleit|recomend|respond|reenvi|recommand|"
        r"répond|transf|raccomand|rispond|obedec|gehorch)",
        # to act as if there were no rules, and to obey one only
        r"(?:als hättest du kein|como si no tuvieras|comme si tu n['\u2019]avais|come se non avessi|"
        r"como se não tivesse|"
        rf"alsof je geen){_GAP}{{0,15}}{_TOLD}",
        r"\b(?:gehorch\w+ (?:du )?(?:nur|ausschließlich) mir|obedece (?:s[óo]lo|solamente) a mí|"
        r"sigue (?:s[óo]lo|solamente) "
        r"mis [óo]rdenes|n['\u2019]obéis qu['\u2019]à moi|ubbidisci solo a me)",
        r"(?:lo que te (?:han dicho|dijeron)|was dir (?:vorher )?gesagt wurde|ce qu['\u2019]on t['\u2019]a dit) "
        rf"(?:antes|vorher|avant){_GAP}{{0,30}}(?:[óo]rdenes|anweisung|ordres|instruc)",
        r"\b(?:sag\w*|informier\w*|verrate|no (?:le )?(?:informes|digas|avises)|n['\u2019](?:informe|avertis)|"
        r"ne (?:dis|"
        rf"préviens)|non (?:dire|informare)|não (?:informe|diga)){_GAP}{{0,12}}\b(?:nutzer|benutzer|anwender|usuario|"
        rf"utilisateur|utente|usuário){_GAP}{{0,8}}(?:nichts|nicht|nada|\bpas\b|rien|y\b|et\b|e\b|$)",
        r"\b(?:neue|nuevas?|nouvelles?|nuove|novas?) (?:anweisung|instruc|consigne|istruz|instruç)\w* (?:des|"
        r"del|du|de|"
        r"di|do|von) (?:l['\u2019])?(?:system|sistema|système)",
    )
)
_HINTS = (
    "ignor verge vergi missacht lass befolg schluss olvid omiso deja sigas oubli tiens tenez suis suive abstraction "
    "diment smetti esque descons pare nege volg zignor zapom pomi игнор забуд внимани следуй prompt промпт запрос "
    "ssisten sistente ssistan nutzer benutz anwender usuari utilis utente usuár önceki yukar hättest tuvieras avais "
    "avessi tivesse alsof gehorch obedece obéis ubbidisci sigue"
).split()
_PHRASES = (
    "du bist|du hast|ahora|maintenant|désormais|ora sei|agora |je hebt|je bent|jesteś|теперь|neue anw|neue ins|nueva|"
    "nouvel|nuove|novas|te han dicho|te dijeron|gesagt wurde|a dit"
).split("|")
_OTHER_SCRIPT = re.compile("[\u0600-\u06ff\u0900-\u097f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SECRET_HINTS = ("passw geheimnis contrase clave passe secret senha wachtwoord hasł парол parola şifre").split()
_SECRET = re.compile(
    r"(?:gib|nenne|verrate|schreib\w*|dame|dime|revela|muestra|donne|révèle|affiche|mostra|geef|toon|wypisz|"
    r"podaj|выведи|"
    r"назови|输出|告诉|教え|알려|yaz|söyle)[^.!?\n]{0,30}(?:passw[oö]rt|geheimnis|contraseña|claves?\b|mots? de passe|"
    r"secrets?\b|senhas?\b|wachtwoord|hasł|парол|密码|口令|パスワード|비밀번호|parola|şifre)"
    r"|(?:密码|パスワード|비밀번호|parola|şifre)\w{0,4}\s?(?:输出|告诉|教え|알려|yaz|söyle)",
    re.IGNORECASE,
)


def asks_for_secrets_abroad(text: str, folded: str) -> bool:
    """Whether it asks for a password in one of these languages: people do, and a document should not."""
    told = any(hint in folded for hint in _SECRET_HINTS) or _is_other(text)
    return told and _SECRET.search(text) is not None


def orders_abroad(text: str, folded: str) -> bool:
    """Whether the text (and in lower case) orders a machine about in one of these languages, as people do not talk."""
    told = any(hint in folded for hint in _HINTS) or any(hint in folded for hint in _PHRASES) or _is_other(text)
    return told and any(pattern.search(text) is not None for pattern in _ORDERS)


def _is_other(text: str) -> bool:
    return not text.isascii() and _OTHER_SCRIPT.search(text) is not None
