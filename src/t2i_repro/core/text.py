"""Text that must stay text: in a CSV field, and on a terminal."""

import unicodedata
from typing import TextIO, cast

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def one_line(text: str) -> str:
    """Replace line breaks and runs of white space by single spaces."""
    return " ".join(text.split())


def csv_text(text: str) -> str:
    """Text for a field of a CSV file.

    Spreadsheets evaluate fields that start with one of = + - @ as formulas; a leading apostrophe makes them text, as
    OWASP advises. Do not pass numbers.
    """
    line = one_line(text)
    return f"'{line}" if line.startswith(FORMULA) else line


class Visible:
    """A text stream that escapes control characters, so that a terminal shows them and does not obey them."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> int:
        shown = (one.encode("unicode_escape").decode() if is_control(one) else one for one in text)
        return self.file.write("".join(shown))


def is_control(character: str) -> bool:
    """Whether a character is a control or format character (category Cc or Cf), such as those that reverse the
    direction of writing. A line feed is not."""
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf")


def visible(file: TextIO) -> TextIO:
    """Wrap a stream that will get text of the registry."""
    return cast(TextIO, Visible(file))
