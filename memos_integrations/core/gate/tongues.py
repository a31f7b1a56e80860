"""To set aside what it was told, or to show it, in languages beyond those of `abroad`.

The same three things in one sentence, in any order that the language has: to disregard, what is older or all of it, and
instructions. People say parts of that too. Phrasings as in `abroad`, put into these languages.
"""

from __future__ import annotations

from typing import NamedTuple

from memos_integrations.core.gate.chained import Chain


class _Tongue(NamedTuple):
    """What a language says for disregarding, for what came before, and for instructions: patterns.

    Of the hints, in lower case and set apart by semicolons, one stands in whatever the first finds.
    """

    hints: str
    disregard: str
    older: str
    told: str


_TONGUES = {
    "id": _Tongue(
        "abaikan; lupakan; hiraukan; jangan",
        r"\b(?:abaikan|lupakan|hiraukan|jangan (?:ikuti|turuti|hiraukan))\b",
        r"\b(?:sebelumnya|sebelum ini|di ?atas|semua|seluruh|terdahulu|awal)\b",
        r"\b(?:instruksi|perintah|aturan|petunjuk|arahan|peraturan|panduan)",
    ),
    "vi": _Tongue(
        "bỏ qua; phớt lờ; quên; tuân theo; làm theo",
        r"bỏ qua|phớt lờ|\bquên\b|đừng (?:tuân theo|làm theo)|không (?:tuân theo|làm theo)",
        r"trước|ở trên|bên trên|tất cả|\bmọi\b|\bcũ\b|toàn bộ",
        r"hướng dẫn|chỉ dẫn|chỉ thị|mệnh lệnh|câu lệnh|\blệnh\b|quy tắc|quy định",
    ),
    "sv": _Tongue(
        "ignorera; glöm; strunta; bortse; åsidos; följ inte",
        r"\b(?:ignorera|glöm|strunta i|bortse från|åsidosätt|följ inte)\b(?! inte)",
        r"\b(?:tidigare|föregående|ovanstående|ovan|alla|dina|gamla)\b",
        r"\b(?:instruktion|regler|anvisning|direktiv|order|riktlinj|instruks)",
    ),
    "da no": _Tongue(
        "ignor; glem; bort fr; tilsides; overse; lg ikke",
        r"\b(?:ignor[eé]r|glem|se bort fr[aå]|tilsides[æe]t+|overse|f[øö]lg ikke)\b(?! ikke)",
        r"\b(?:tidligere|foregående|forrige|ovenstående|ovenfor|alle|dine|gamle)\b",
        r"\b(?:instruks|instruktion|regler|regla|anvisning|ordre|retningslinj)",
    ),
    "fi": _Tongue(
        "jätä; jättä; ohita; ohitta; sivuuta; unohda; unohta; älä ",
        r"\b(?:jätä|jättäkää|ohita|ohittakaa|sivuuta|unohda|unohtakaa|älä (?:noudata|välitä|huomioi))\b",
        r"\b(?:aiemm|aikaisemm|edelli|edeltäv|yllä|kaikki|vanha)",
        r"\b(?:ohje|sääntö|säännö|määräy|käsky|komen)",
    ),
    "el": _Tongue(
        "αγνό; αγνοή; αγνοεί; ξέχ; ξεχά; παράβλ; παραβλ; μην ακ",
        r"αγνόησε|αγνοήστε|αγνοείστε|αγνοήσετε|ξέχνα|ξέχασε|ξεχάστε|παράβλεψε|παραβλέψτε|μην ακολουθ",
        r"προηγούμεν|παραπάνω|πρότερ|\bόλ(?:ες|ους|α)\b|παλι(?:ές|ούς)",  # noqa: RUF001
        r"οδηγί|οδηγι|κανόν|εντολ|κατευθύνσ",
    ),
    "he": _Tongue(
        "התעל; שכח; אל ת",
        r"התעלמ|התעלם|שכח|אל ת(?:ציית|מלא|עקוב)|להתעלם",
        r"קודמ|קודם|לעיל|\bכל\b|שלמעלה|ישנ|ראשוני",
        r"הוראות|הנחיות|כללים|חוקים|פקודות|הנחיה",
    ),
    "ta": _Tongue(
        "புறக்; மறந்; மறக்",
        r"புறக்கணி|மறந்து|மறக்க",
        r"முந்தைய|முன்பு|மேலே|மேலுள்ள|அனைத்து|எல்லா",
        r"அறிவுறுத்தல்|வழிமுறை|கட்டளை|விதி|வழிகாட்ட",
    ),
    "th": _Tongue(
        "เพิก; ละเว้น; ละเลย; สนใจ; ลืม; เมิน; มองข้าม",
        r"เพิกเฉย|ละเว้น|ละเลย|ไม่ต้องสนใจ|อย่าสนใจ|ลืม|เมินเฉย|มองข้าม|ไม่สนใจ",
        r"ก่อนหน้า|ข้างต้น|ทั้งหมด|ด้านบน|เดิม",
        r"คำสั่ง|คำแนะนำ|กฎ|คำชี้แนะ|ข้อกำหนด|แนวทาง",
    ),
    "uk": _Tongue(
        "ігнор; забудь; зважай; знехтуй; виконуй; дотримуй; відкинь",
        r"ігноруй|ігнорувати|(?<!не )забудь|не зважай|знехтуй|не виконуй|не дотримуй|відкинь",
        r"попередн|вищенаведен|вищезазначен|вище\b|\b(?:усі|всі)\b|раніш|старі",  # noqa: RUF001
        r"інструкц|правил|вказівк|наказ|розпоряджен|настанов",
    ),
    "ro": _Tongue(
        "ignor; uit; urma; respecta; ține cont; considerare",
        r"\b(?:ignor[ăa](?:ți|ti)?|uit[ăa](?:ți|ti)?|nu (?:mai )?(?:urma|respecta|ține cont|lua în considerare))\b",
        r"\b(?:anterioar|precedent|de mai sus|toate|tale|vechi)",
        r"\b(?:instruc[țt]iuni|regul|ordin|comenzi|indica[țt]i|directiv)",
    ),
    "hu": _Tongue(
        "figyelmen; felejts; kövesd; vedd; mellőz; tartsd; hagyd ki",
        r"figyelmen kívül|felejts[de]|ne (?:kövesd|vedd figyelembe|tartsd be)|mellőzd|hagyd ki",
        r"korábbi|előző|fenti|összes|\bminden\b|eddigi|régi",
        r"utasítás|szabály|útmutat|parancs|előírás|irányelv",
    ),
    "ur": _Tongue(
        "نظر; بھول; پیروی; مت مان",
        r"نظر ?انداز|بھول|پیروی نہ|مت مان",
        r"پچھل|سابقہ|گزشتہ|پہلے|تمام|اوپر",
        r"ہدایات|ہدایت|احکام|قواعد|اصول",
    ),
    "fa": _Tongue(
        "نادیده; فراموش; توجه; پیروی; صرف; چشم",
        r"نادیده|فراموش|بی ?توجه|پیروی نکن|صرف ?نظر|چشم ?پوشی|بی\u200cتوجه|چشم\u200cپوشی",  # noqa: RUF001
        r"قبلی|پیشین|\bبالا|تمام|همه|قبل",  # noqa: RUF001
        r"دستورالعمل|دستور|قوانین|قواعد|راهنما|فرمان",
    ),
    "tl": _Tongue(
        "balewalain; huwag; kalimutan; isantabi",
        r"\b(?:balewalain|huwag pansinin|huwag sundin|kalimutan|isantabi)\b",
        r"\b(?:nakaraang?|naunang?|lahat|nasa itaas|dating)\b",
        r"\b(?:tagubilin|utos|instruksyon|panuto|alituntunin|patakaran)",
    ),
    "sw": _Tongue(
        "puuza; sahau; usifuate",
        r"\b(?:puuza|sahau|usifuate)\b",
        r"\b(?:yote|zote|awali|iliyopita|zilizopita|hapo juu)\b",
        r"\b(?:maagizo|maelekezo|kanuni|amri|sheria)\b",
    ),
    "bn": _Tongue(
        "উপেক্ষা; ভুলে; অগ্রাহ্য", r"উপেক্ষা|ভুলে|অগ্রাহ্য", r"পূর্ববর্তী|আগের|সমস্ত|\bসব|উপরের", r"নির্দেশ|নিয়ম|আদেশ|নির্দেশনা"
    ),
    "cs sk": _Tongue(
        "ignoruj; zapome; nedbej; zabudni; nevšímaj; přehlížej; neřiď",
        r"\b(?:ignoruj|ignorujte|zapome[ňn]|zapomeňte|nedbej|zabudni|nevšímaj|přehlížej|neřiď se)\b",
        r"\b(?:předchoz|predchádzaj|dosavadn|doterajš|výše|vyššie|všechn|všetk|dřívějš)",
        r"\b(?:pokyn|instrukc|inštrukc|pravid|příkaz|príkaz|nařízen)",
    ),
    "hr sr": _Tongue(
        "zanemar; ignori; zaborav; занемар; игнори; заборав",
        r"\b(?:zanemari|zanemarite|ignoriši|ignoriraj|ignorirajte|zaboravi|zaboravite)\b|занемари|игнориши|заборави",
        r"\b(?:prethodn|dosadašnj|ranij|gornj|sve|sva)|претходн|досадашњ|све",
        r"\b(?:uput|instrukcij|pravil|naredb|naputk|smjernic)|упутств|правил|наредб",
    ),
    "bg": _Tongue(
        "игнор; забрави; пренебрегни; не следвай",
        r"игнорирай\w*|забрави|пренебрегни|не следвай",
        r"предишн|всички|горн|досегашн",
        r"инструкц|правил|указан|нареждан",
    ),
    "ca": _Tongue(
        "ignor; oblid; segueixis",
        r"\b(?:ignora|ignoreu|oblida|oblideu|no segueixis)\b",
        r"\b(?:anteriors?|totes|tots|de dalt|teves)\b",
        r"\b(?:instruccions|regles|ordres|normes|directrius)\b",
    ),
}
_ROWS = tuple(
    (
        tuple(each.hints.split("; ")),
        tuple(
            Chain(parts, (40, 40))
            for parts in (
                (each.disregard, each.older, each.told),
                (each.disregard, each.told, each.older),
                (each.older, each.told, each.disregard),
                (each.told, each.older, each.disregard),
            )
        ),
    )
    for each in _TONGUES.values()
)
_PLAIN_ROWS = tuple(
    (plain, rows) for hints, rows in _ROWS if (plain := tuple(hint for hint in hints if hint.isascii()))
)
"""Those that a text of ASCII letters may hold."""

_PROMPT = (
    r"(?:system[- ]?prompt\w*|prompt(?:ul)? (?:de |ng )?(?:sistem\w*|hệ thống)|lời nhắc hệ thống|systeminstruk\w+"
    r"|järjestelmä(?:kehot|ohje)\w*"
    r"|(?:προτροπή|οδηγίες|μήνυμα) (?:του )?συστήματος|(?:הנחיית|הוראות|פרומפט) ה?מערכת|systém(?:ov\w+)? (?:prompt"
    r"|pokyn\w*|výzv\w*)"
    r"|พรอมต์(?:ของ)?ระบบ|คำสั่งระบบ|системн\w+ (?:промпт|підказк|запит|инструкц|подсказк)\w*|rendszer ?(?:prompt"
    r"|utasítás)\w*"
    r"|سسٹم پرامپٹ|پرامپت سیستم|دستور سیستم|কম্পিউটার প্রম্পট|সিস্টেম প্রম্পট|கணினி (?:தூண்டல்|அறிவுறுத்தல்)"
    r"|sistemski (?:prompt|upit)|promptul sistemului)"
)
_SHOW = (
    r"(?:tampilkan|tunjukkan|cetak|beritahu|hiển thị|cho (?:tôi )?(?:xem|biết)|tiết lộ|\bin ra\b|visa|skriv ut"
    r"|avslöja|\bvis\b|afslør|avslør|udskriv"
    r"|näytä|tulosta|paljasta|δείξε|εμφάνισε|αποκάλυψε|εκτύπωσε|הצג|הראה|חשוף|הדפס|காட்டு|வெளிப்படுத்து|แสดง|เปิดเผย"
    r"|พิมพ์|บอก"
    r"|покажи|виведи|розкрий|надрукуй|arată|afișează|dezvăluie|mutasd|írd ki|fedd fel|دکھا|ظاہر|نشان بده|نمایش|فاش"
    r"|ipakita|onyesha|দেখাও|প্রকাশ|zobraz|vypiš|ukaž|prikaži|otkrij|ispiši|mostra|revela)"
)
_SHOWN = (Chain((_SHOW, _PROMPT), (30,)), Chain((_PROMPT, _SHOW), (24,)))
_PROMPT_HINTS = (
    "prompt hệ thống instruk järjestelmä συστήματος מערכת ระบบ системн rendszer سسٹم سیستم প্রম্পট கணினி systém".split()
)


def orders_in_tongues(text: str, folded: str) -> bool:
    """Whether the text (and in lower case) tells a machine to set its instructions aside, or to show them."""
    for hints, rows in _PLAIN_ROWS if folded.isascii() else _ROWS:
        for hint in hints:
            if hint in folded:
                if any(row.search(text) for row in rows):
                    return True
                break
    return any(hint in folded for hint in _PROMPT_HINTS) and any(row.search(text) for row in _SHOWN)
