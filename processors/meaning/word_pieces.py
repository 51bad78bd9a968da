"""Cuts texts into the word pieces of BERT's uncased vocabulary, as the `tokenizers` package does, without it.

Words come again and again, with the signs around them too, so what stands between spaces is cut once: what a text costs
is finding its spaces and looking up what lies between.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from itertools import chain

WORD_CAP = 100
"""Characters from which on a word is no word; it has no pieces."""
WORDS_REMEMBERED, STRETCHES_REMEMBERED = 16_384, 16_384
"""Words, and stretches between spaces, whose pieces are remembered; when they are that many, all are forgotten."""
STRETCH_CAP = 32
"""Characters of a stretch that is remembered: longer ones are seldom met again."""
CONTINUES = "##"

_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CJK = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2CEAF), (0x2F800, 0x2FA1F))


class WordPieces(dict[str, tuple[int, ...]]):
    """The pieces of words met so far, by a vocabulary from piece to number. Pieces nobody knows are left out."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self._stretches = _Stretches(self)

    def numbers(self, text: str) -> list[int]:
        """Give the numbers of a text's pieces, in order."""
        if _is_plain(text):
            return list(chain.from_iterable(map(self._stretches.__getitem__, text.lower().split())))
        return list(chain.from_iterable(map(self.__getitem__, words(text))))

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= WORDS_REMEMBERED:
            self.clear()
        pieces = self[word] = self._cut(word)
        return pieces

    def _cut(self, word: str) -> tuple[int, ...]:
        """Take the longest piece there is from the front, again and again; a rest that is no piece spoils the word."""
        if len(word) > WORD_CAP:
            return ()
        pieces: list[int] = []
        rest, prefix = word, ""
        while rest:
            for end in range(len(rest), 0, -1):
                number = self._vocabulary.get(prefix + rest[:end])
                if number is not None:
                    break
            else:
                return ()
            pieces.append(number)
            rest, prefix = rest[end:], CONTINUES
        return tuple(pieces)


class _Stretches(dict[str, tuple[int, ...]]):
    """The pieces of what stood between two spaces, in lower case: words and signs."""

    def __init__(self, pieces: WordPieces) -> None:
        super().__init__()
        self._pieces = pieces

    def __missing__(self, stretch: str) -> tuple[int, ...]:
        found = tuple(chain.from_iterable(map(self._pieces.__getitem__, _ASCII_WORDS.findall(stretch))))
        if len(stretch) <= STRETCH_CAP:
            if len(self) >= STRETCHES_REMEMBERED:
                self.clear()
            self[stretch] = found
        return found


def words(text: str) -> list[str]:
    """Cut a text into lower-case words without accents, and into signs that stand for themselves."""
    if _is_plain(text):
        return _ASCII_WORDS.findall(text.lower())
    plain = unicodedata.normalize("NFD", text.translate(_SPACED))
    return plain.translate(_UNACCENTED).lower().split()


def _is_plain(text: str) -> bool:
    return text.isascii() and (text.isprintable() or not _CONTROL.search(text))


def _spaced(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    if category[0] == "C" or character == "\ufffd":
        return ""
    is_sign = category[0] == "P" or (character.isascii() and not character.isalnum())
    is_cjk = any(first <= ord(character) <= last for first, last in _CJK)
    return f" {character} " if is_sign or is_cjk else character


def _unaccented(character: str) -> str:
    return "" if unicodedata.category(character) == "Mn" else character


class _ByCharacter(dict[int, str]):
    """A table for `str.translate` that is filled in as characters are met."""

    def __init__(self, rule: object) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        made: str = self._rule(chr(code))  # type: ignore[operator]
        self[code] = made
        return made


_SPACED, _UNACCENTED = _ByCharacter(_spaced), _ByCharacter(_unaccented)
