"""A page of docs/ followed by the letter: its code blocks become files of a project, its commands are run there.

In a page, a block of code follows a line that says where it goes:

    `src/t2i_repro/metrics/definitions/toy.py`:              the whole file
    `params.yaml`, under `protocols`:                         lines put first in that section
    `params.yaml`, at the top level:                          lines put at the end

and a `console` block holds commands, one a line.
"""

import re
import shlex
from pathlib import Path

from project_copy import Copy

BLOCK = re.compile(
    r"^(?:[^\n]*?\s)?`(?P<file>[\w./-]+)`(?:, under `(?P<section>[\w.]+)`|(?P<end>, at the top level))?:\n\n"
    r"```\w*\n(?P<text>.*?)^```$",
    re.M | re.S,
)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def follow(page: Path, copy: Copy) -> list[str]:
    """Put the page's files into the project. Returns their paths, new files and changed ones."""
    found = []
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        path = copy.folder / block["file"]
        if block["section"]:
            put_under(path, block["section"].split("."), block["text"])
        elif block["end"]:
            path.write_text(f"{path.read_text(encoding='utf-8')}\n{block['text']}", encoding="utf-8")
        else:
            assert not path.exists(), f"{page}: {block['file']} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"], encoding="utf-8")
        found.append(block["file"])
    return found


def put_under(path: Path, section: list[str], text: str) -> None:
    """Insert lines, as they stand in the page, after the key that nests as ``section`` says."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = 0
    for depth, key in enumerate(section):
        at = next(row for row in range(at, len(lines)) if lines[row].startswith(f"{'  ' * depth}{key}:")) + 1
    path.write_text("".join([*lines[:at], text, *lines[at:]]), encoding="utf-8")


def run_commands(page: Path, copy: Copy) -> str:
    """Run the page's commands as they stand, in its order. Returns all that they printed."""
    commands = [line for block in CONSOLE.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    assert commands, f"{page}: no commands to follow"
    return "".join(done.stdout + done.stderr for done in (copy.run(*shlex.split(command)) for command in commands))
