"""Every command in README.md and docs/ is one that its program accepts."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dvc.cli import DvcParserError, parse_args
from snakemake.cli import get_argument_parser

from t2i_repro import cli
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import RULES

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")), PROJECT / "tests/README.md"]
PROGRAMS = ("snakemake", "dvc", "t2i-repro", "python -m t2i_repro", "make", "pytest")
EXAMPLES = ("deep-ssa", "shapes", "coverage", "projection", "bag-of-words")  # of pages about adding things


def commands(page: Path) -> Iterator[tuple[bool, list[str]]]:
    """Commands as words: those of blocks, and those in sentences, which may be incomplete (False)."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```(?:console|sh|bash)?\n(.*?)^```$", text, re.M | re.S)
    lines = [(True, line) for block in blocks for line in block.splitlines()]
    lines += [(True, line) for line in re.findall(r"^ {4}(\S.*)$", text, re.M)]
    lines += [(False, line) for line in re.findall(r"`([^`\n]+ [^`\n]+)`", text)]
    for complete, line in lines:
        for part in re.split(r" && | \| ", line):
            command = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", part.strip())
            if command.startswith(tuple(f"{program} " for program in PROGRAMS)) and "`" not in command:
                yield complete, [word for word in shlex.split(command, comments=True) if word != "..."]


ALL = sorted(
    {
        (page.relative_to(PROJECT).as_posix(), shlex.join(words), complete)
        for page in PAGES
        for complete, words in commands(page)
    }
)


@pytest.fixture(scope="module")
def targets() -> set[str]:
    planner = Planner(PROJECT)
    shown = {node.name for node in planner.nodes.values() if node.kind in ("table", "figure")}
    return RULES | shown | set(planner.registry)


def test_there_are_commands_of_every_program() -> None:
    assert len(ALL) > 50
    assert {shlex.split(command)[0] for _, command, _ in ALL} >= {"snakemake", "dvc", "t2i-repro", "python", "make"}


@pytest.mark.parametrize(("page", "command", "complete"), ALL, ids=[f"{page}: {command}" for page, command, _ in ALL])
def test_a_documented_command_is_accepted(
    page: str,
    command: str,
    complete: bool,
    targets: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program, *words = shlex.split(command)
    if program == "python":
        program, words = "t2i-repro", ["train" if word == "VERB" else word for word in words[2:]]
    if not complete and program in ("dvc", "t2i-repro"):
        (dvc if program == "dvc" else t2i_repro)([words[0], "--help"], monkeypatch)
        shown = capsys.readouterr().out
        assert [word for word in words if word.startswith("--") and word not in shown] == []
    elif program in ("dvc", "t2i-repro"):
        (dvc if program == "dvc" else t2i_repro)(words, monkeypatch)
    elif program == "snakemake":
        snakemake(words, targets)
    elif program == "make":
        make(words)
    else:
        assert [word for word in words if word.startswith("tests") and not (PROJECT / word).exists()] == []


def snakemake(words: list[str], targets: set[str]) -> None:
    args = get_argument_parser().parse_args(words)
    assert [target for target in args.targets if target not in targets and not target.startswith(EXAMPLES)] == []
    known = yaml.safe_load((PROJECT / "params.yaml").read_text())
    assert {setting.partition("=")[0] for setting in args.config or ()} <= set(known)
    if args.workflow_profile:
        assert (PROJECT / args.workflow_profile / "profile.yaml").exists()


def dvc(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if "--help" in words:
        with pytest.raises(SystemExit, match="0"):
            parse_args(words)
        return
    try:
        args = parse_args(words)
    except DvcParserError as error:
        raise AssertionError(f"dvc {' '.join(words)}: not a command of DVC") from error
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    if words[0] == "repro":
        assert set(args.targets) <= set(stages)


def make(words: list[str]) -> None:
    known = re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.M)
    assert {word for word in words if "=" not in word} <= set(known)


def t2i_repro(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsed by the real parser; nothing is run."""
    verb = words[0]
    assert verb in {**cli.FLOW, **cli.TOOLS}
    monkeypatch.setattr(cli, "build", lambda *arguments: None)
    for name in (cli.TOOLS.get(verb, ("",))[0], cli.ALONE.get(verb)):
        if name:
            monkeypatch.setattr(importlib.import_module(name), "main", lambda args: None)
    try:
        status = cli.main(words)
    except SystemExit as error:
        status = int(error.code or 0)
    assert status == 0
