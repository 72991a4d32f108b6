"""Decoding, tokenisation and vocabulary of captions, as in AttnGAN and its descendants."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

END = "<end>"  # index 0 of every vocabulary: padding
_WORD = re.compile(r"\w+")
_REPLACEMENT = "\ufffd"


def decode(raw: bytes) -> tuple[str, int]:
    """Text of a caption file, and the number of its lines that are not valid UTF-8.

    A byte that is not UTF-8 becomes a space, and so does U+FFFD itself: Reed's files have pairs of it in place of
    characters that were lost before publication.
    """
    try:
        text, damaged = raw.decode("utf-8-sig"), 0
    except UnicodeDecodeError:
        text = raw.decode("utf-8", errors="replace")
        damaged = sum(_REPLACEMENT in line.decode("utf-8", errors="replace") for line in raw.split(b"\n"))
    return text.replace(_REPLACEMENT, " "), damaged


def tokenise(text: str) -> list[str]:
    """Words of a caption: lower case, runs of ``\\w``, non-ASCII characters dropped within each, empty ones dropped."""
    words = _WORD.findall(text.replace(_REPLACEMENT, " ").lower())
    kept = (word.encode("ascii", "ignore").decode("ascii") for word in words)
    return [word for word in kept if word]


@dataclass
class Captions:
    """The usable captions of one image in file order, and counts of the others."""

    texts: list[str] = field(default_factory=list)
    tokens: list[list[str]] = field(default_factory=list)
    empty: int = 0
    wordless: int = 0


def usable(lines: Iterable[str], limit: int) -> Captions:
    """The first ``limit`` captions with at least one word.

    ``empty`` counts blank lines and ``wordless`` lines without a token, among the lines read until then.
    """
    found = Captions()
    for line in lines:
        if len(found.texts) == limit:
            break
        text = line.strip()
        words = tokenise(text)
        if words:
            found.texts.append(text)
            found.tokens.append(words)
        elif text:
            found.wordless += 1
        else:
            found.empty += 1
    return found


def file_lines(text: str) -> list[str]:
    """Lines of a caption file. The newline at its end does not start an empty caption."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


class Vocabulary:
    """Words in order of first occurrence; index 0 is the padding ``<end>``."""

    def __init__(self) -> None:
        self.words = [END]
        self._index: dict[str, int] = {}

    def indices(self, words: Iterable[str]) -> list[int]:
        """Indices (>= 1) of the words, adding new ones."""
        return [self._add(word) for word in words]

    def _add(self, word: str) -> int:
        index = self._index.get(word)
        if index is None:
            index = self._index[word] = len(self.words)
            self.words.append(word)
        return index
