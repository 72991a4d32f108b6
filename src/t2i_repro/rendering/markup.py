"""HTML templates, and text escaped for LaTeX and Markdown."""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from t2i_repro.core.text import one_line

TEMPLATES = Path(__file__).parent / "templates"
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


@cache
def environment() -> Environment:
    """Templates of this package. All values are escaped; an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def latex(text: str) -> str:
    """Escape text for the body of a LaTeX document with UTF-8 input and the T1 font encoding."""
    escaped = "".join(LATEX.get(character, character) for character in one_line(text))
    return re.sub(r"([-,])(?=\1)", r"\1{}", escaped)  # no ligatures: -- must not become a dash


def markdown(text: str) -> str:
    """Escape text for a paragraph or a table cell of GitHub Flavored Markdown."""
    escaped = re.sub(r"([\\`*_{}\[\]#!|~$@])", r"\\\1", one_line(text))
    escaped = re.sub(r":(?=[\w+-]+:)", r"\:", escaped)  # :name: is an emoji
    escaped = re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)  # list or underline at the start of a line
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
