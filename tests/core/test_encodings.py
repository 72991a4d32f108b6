"""Files are read and written as UTF-8 wherever the code runs: clusters often start jobs with LANG=C."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

METHODS = {"open": 0, "read_text": 0, "write_text": 1}  # with the place of `encoding`, or of the mode
BYTES = ("rb", "wb", "ab", "r+b", "xb")


def unnamed(path: Path) -> Iterator[str]:
    """Calls that open a file or a pipe as text without naming the encoding."""
    for call in (one for one in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(one, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if "True" in (keywords.get("text"), keywords.get("universal_newlines")):
            yield f"{path}:{call.lineno}: {name}(text=...): say encoding"
        if name not in METHODS or "encoding" in keywords or owner in ("Image", "os", "tarfile", "archive", "cls"):
            continue
        inner = [node for argument in call.args for node in ast.walk(argument)]
        values = [node.value for node in inner if isinstance(node, ast.Constant)]
        if name == "open" and (any(value in BYTES for value in values) or "packed" in ast.unparse(call)):
            continue
        if name == "open" and owner.endswith(("Cache", "self", "source")):
            continue  # methods of ours
        if name != "open" and not owner:
            continue  # functions of ours
        yield f"{path}:{call.lineno}: {ast.unparse(call)[:60]}"


def test_every_open_names_its_encoding(project: Path) -> None:
    files = [*(project / "src").rglob("*.py"), *(project / "benchmarks").rglob("*.py")]
    assert len(files) > 100
    assert [line for file in files for line in unnamed(file)] == []


@pytest.mark.parametrize(
    "line", ["open('x')", "path.open('w')", "path.read_text()", "p.write_text('a')", "subprocess.run([], text=True)"]
)
def test_the_check_finds_what_it_is_for(line: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(line, encoding="utf-8")
    assert len(list(unnamed(file))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["tables", "ssa-gan", "2"], ["reported"], ["papers"], ["audit"], ["verify", "page"]],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["LANG=C", "ascii"],
)
def test_commands_work_where_the_locale_is_ascii(
    command: list[str], environment: dict[str, str], project: Path, tmp_path: Path
) -> None:
    for name in ("params.yaml", "papers"):
        (tmp_path / name).symlink_to(project / name)
    own = {**os.environ, **environment, "PYTHONPATH": str(project / "src")}
    own.pop("LANG", None)
    call = [sys.executable, "-m", "t2i_repro", *command]
    done = subprocess.run(call, cwd=tmp_path, env=own, capture_output=True, timeout=100)
    assert done.returncode == (2 if command[0] == "verify" else 0), done.stderr.decode()
    assert b"Traceback" not in done.stderr
