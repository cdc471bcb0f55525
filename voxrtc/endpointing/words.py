"""Words after which nobody stops: conjunctions, articles, prepositions, fillers, and a number that is being said.

The cheap and certain half of what words tell about the end of a turn. Whether a sentence that may be over is over,
a language model says (models.verbs: ``ends``).
"""

from __future__ import annotations

import re
from functools import lru_cache

_ARTICLES_ETC = {
    "en": "a an the this these my your his its our their every no"
    " and or but because so if unless until although though while whereas than that which who whose whom when where"
    " of at from into onto with without between during about"
    " is are was were am be been being has had have will would can could should might must may do does did"
    " i we they he she very really quite",
    "es": "el la los las un una unos unas mi tu su y o pero porque si que de del al en con sin por para muy",
    "fr": "le la les un une des mon ma mes ton ta votre et ou mais parce que si de du au aux en avec sans par"
    " pour très",
    "de": "der die das den dem des ein eine einen einem einer mein dein und oder aber weil wenn dass ob von mit ohne"
    " für bei zu sehr",
    "it": "il lo la gli le un uno una mio tuo e o ma perché se che di del della in con senza per molto",
    "pt": "o a os as um uma meu seu e ou mas porque se que de do da em no na com sem por para muito",
}
FILLERS = frozenset({"um", "uh", "erm", "hmm", "äh", "ähm", "euh"})
_FILLERS_OF = {"en": {"er"}, "es": {"eh", "em", "este", "pues"}, "fr": {"eh", "ben"}, "pt": {"eh", "hum"}, "it": {"eh"}}
"""What is a word of its own elsewhere: "er" is German for "he"."""
_OPEN = {language: frozenset(words.split()) for language, words in _ARTICLES_ETC.items()}

_AFTER_ALL = frozenset(
    {"so do", "so is", "so am", "so are", "i am", "we are", "they are", "he is", "she is", "it is", "it was", "he was"}
    | {"she was", "they were", "i do", "i did", "i can", "i will", "i would", "i have", "you can", "you do", "you did"}
    | {"they did", "about that", "like that", "of that", "do that", "is that", "was that", "than he was"}
)
"""Pairs that end sentences although their last word, alone, would not."""

_NUMBER = re.compile(
    r"\b(?:\d+|zero|oh|one|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|forty|fifty|sixty|seventy|eighty"
    r"|ninety|hundred|thousand|point|double|triple)[\s,.-]*$",
    re.IGNORECASE,
)
_ASKED_FOR = re.compile(r"\b(?:number|code|phone|call me (?:at|on|under)|account|card|pin|zip)\b", re.IGNORECASE)
_DIGITS = {"pin": 4, "code": 4, "zip": 5}
"""Digits that a number someone dictates has at least ..."""
_OTHER_DIGITS = 7
"""... if it is any other."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@lru_cache(maxsize=256)  # a rule asks every 10 ms of a pause
def hangs(text: str, language: str, complete: bool = False) -> bool:
    """Whether ``text`` breaks off where nobody ends a turn. False where that cannot be told.

    ``complete``: a model that has read it takes it for a whole turn, as "Where are you from?" is: it is believed where
    only the last word speaks against it. Not about fillers and numbers, which it knows less of than the lists here.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return False
    if words[-1] in FILLERS or words[-1] in _FILLERS_OF.get(language, ()):
        return True
    if " ".join(words[-2:]) in _AFTER_ALL or " ".join(words[-3:]) in _AFTER_ALL:
        return False
    if not complete and words[-1] in _OPEN.get(language, frozenset()) and len(words) > 1:
        return True
    return language == "en" and _dictates(text)


def _dictates(text: str) -> bool:
    """Whether a number is being dictated that has too few digits yet."""
    if not _NUMBER.search(text) or not (asked := list(_ASKED_FOR.finditer(text))):
        return False
    said = text[asked[-1].end() :]
    digits = sum(len(word) if word.isdigit() else 1 for word in _WORD.findall(said) if _NUMBER.match(word))
    return digits < _DIGITS.get(asked[-1][0].lower(), _OTHER_DIGITS)
