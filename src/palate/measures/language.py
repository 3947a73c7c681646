"""Which language a text is in, told by its script and, for Latin letters, its commonest words.

Small on purpose: it names a language where the evidence is plain and says None where it is not
(short texts, mixtures, names, code). It never guesses between neighbors on a few words.
"""

import re
from functools import lru_cache

MAX_CHARACTERS = 500
MIN_LETTERS = 20
MIN_SCRIPT_SHARE = 0.7
# Of the words of a text, the commonest forty of its language are a third or so.
MIN_COMMON_WORDS = 4
MIN_COMMON_SHARE = 0.15
MIN_LEAD = 2.0

# A script that one language (or a family that is taken for one) is written in.
_SCRIPTS = {
    "Latin": "A-Za-z\u00c0-\u024f",
    "Greek": "\u0370-\u03ff",
    "Cyrillic": "\u0400-\u04ff",
    "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Devanagari": "\u0900-\u097f",
    "Bengali": "\u0980-\u09ff",
    "Tamil": "\u0b80-\u0bff",
    "Thai": "\u0e00-\u0e7f",
    "Hangul": "\u1100-\u11ff\uac00-\ud7af",
    "Kana": "\u3040-\u30ff",
    "Han": "\u4e00-\u9fff",
}
_OF_SCRIPT = {name: re.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}
_WORD = re.compile(r"[^\W\d_]+")

_COMMON = {
    "English": "the and of to a in is you that it he for was on are as with his they i at be this "
    "have from or had by not but what all were we when your can said there an which she do how if "
    "will would so me my no about more who has their did could because does just into these than",
    "German": "der die und das ist nicht ich ein eine sie mit auf den zu wir sich auch wie dem für "
    "von es war er haben werden oder aber nach bei einen hat noch wenn kann sind über zum mir",
    "French": "le la les de des et est une un vous je que pas dans pour qui sur avec nous sont au "
    "ce il elle du se ne plus par ou mais comme cette être fait très leur même aux ont",
    "Spanish": "el la los las de que y es una un por con para no del se lo como más pero su al "
    "está en te mi muy ser todo cuando hay sin sobre también qué yo eso puede son ha",
    "Italian": "il la di che è non per una un sono con gli del della si come ma anche lo più nel "
    "questo le mi ho hai ci dei delle da se cosa alla molto essere quando perché fare",
    "Portuguese": "o os a que não uma um para com é do da em você por mais se como mas são ao de "
    "no na isso eu ele foi muito também ser quando pode seu sua pelo está tem dos",
    "Dutch": "de het een en van ik niet dat is je zijn op te met voor er maar ook wat naar in "
    "ze hij aan om bij dan nog heeft worden door over geen uit kan deze wel hun",
    "Polish": "nie się na jest że do to co jak za od ale czy po dla tak są ten jego mnie może "
    "tylko przez już być tym bardzo gdy jeszcze było które który albo oraz",
    "Turkish": "ve bir bu için çok ne da de ile daha gibi ben değil olarak var mi kadar sonra en "
    "ama her ki olan bana sen onun şey nasıl şu iyi olur",
}
_LANGUAGES_OF: dict[str, list[str]] = {}
for _language, _words in _COMMON.items():
    for _word in set(_words.split()):
        _LANGUAGES_OF.setdefault(_word, []).append(_language)


def language_of(text: str) -> str | None:
    """Name the language of a text, or its script where the script says no more.

    Args:
        text: any; the first 500 characters are looked at.

    Returns:
        "English", "German", "Cyrillic", "Han" …; None where the evidence is thin or mixed.
    """
    return _language_of(text[:MAX_CHARACTERS])


@lru_cache(maxsize=16)  # a row's texts are asked for more than once
def _language_of(text: str) -> str | None:
    script = _script_of(text)
    return _latin_language(text) if script == "Latin" else script


def _script_of(text: str) -> str | None:
    if text.isascii():
        return "Latin"
    counts = {name: len(letters.findall(text)) for name, letters in _OF_SCRIPT.items()}
    total = sum(counts.values())
    if total < MIN_LETTERS:
        return None
    if counts["Kana"] >= 0.1 * total:  # Japanese mixes them, Chinese has no kana
        return "Japanese" if (counts["Kana"] + counts["Han"]) >= MIN_SCRIPT_SHARE * total else None
    name = max(counts, key=lambda script: counts[script])
    return name if counts[name] >= MIN_SCRIPT_SHARE * total else None


def _latin_language(text: str) -> str | None:
    words = _WORD.findall(text.lower())
    scores: dict[str, float] = dict.fromkeys(_COMMON, 0.0)
    for word in words:
        # A word that several languages share says less of each.
        languages = _LANGUAGES_OF.get(word, ())
        for language in languages:
            scores[language] += 1 / len(languages)
    (second, _), (score, first) = sorted((score, name) for name, score in scores.items())[-2:]
    is_plain = score >= max(MIN_COMMON_WORDS, MIN_COMMON_SHARE * len(words))
    return first if is_plain and score >= MIN_LEAD * second else None
