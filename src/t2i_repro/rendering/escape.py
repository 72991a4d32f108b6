"""Text as it was written, in every format: no character of a label or a caption may act as markup."""

import re
import unicodedata
from typing import TextIO, cast

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after \\ or at the start of a cell it would be read as an option
    "]": "{]}",
    "`": "{`}",
    "'": "{'}",
    "±": r"$\pm$",
    "−": "$-$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def one_line(text: str) -> str:
    """Line breaks and runs of white space as single spaces: a table's cell has one line."""
    return " ".join(text.split())


def latex(text: str) -> str:
    """For the body of a LaTeX document with UTF-8 input and the T1 font encoding."""
    escaped = "".join(LATEX.get(character, character) for character in one_line(text))
    return re.sub(r"([-,])(?=\1)", r"\1{}", escaped)  # no ligatures: -- must not become a dash


def markdown(text: str) -> str:
    """For a paragraph or a table's cell of GitHub Flavored Markdown."""
    escaped = re.sub(r"([\\`*_{}\[\]#!|~$@])", r"\\\1", one_line(text))
    escaped = re.sub(r":(?=[\w+-]+:)", r"\:", escaped)  # :name: is an emoji
    escaped = re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)  # list or underline at the start of a line
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def csv_text(text: str) -> str:
    """For a text field of a CSV file. Spreadsheets run fields that begin with one of = + - @ as formulas; an apostrophe
    before makes them text (as OWASP advises). Numbers are not passed through here."""
    line = one_line(text)
    return f"'{line}" if line.startswith(FORMULA) else line


class Visible:
    """A stream to a terminal on which control characters are seen, not obeyed: `\\x1b` stands for an escape."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, text: str) -> int:
        shown = (one.encode("unicode_escape").decode() if is_control(one) else one for one in text)
        return self.file.write("".join(shown))


def is_control(character: str) -> bool:
    """Controls and marks without a shape, such as those that turn the direction of writing; a line feed is none."""
    return character != "\n" and unicodedata.category(character) in ("Cc", "Cf")


def visible(file: TextIO) -> TextIO:
    """The stream, for text of the registry."""
    return cast(TextIO, Visible(file))
