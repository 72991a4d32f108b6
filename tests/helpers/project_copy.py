"""A copy of the project whose verbs are fakes (fake_flow.py), so that the whole graph runs in seconds."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.models.text_encoder import artefact_kinds
from t2i_repro.planning.plan import Planner

HERE = Path(__file__).parent
PARTS = (
    *("Snakefile", "workflow", "profiles", "params.yaml", "papers", "src"),
    *("dvc.yaml", ".dvc/config", ".dvcignore", ".gitignore", "docs/divergences.md"),
)
Done = subprocess.CompletedProcess[str]
MAIN = """\
import sys
from dataclasses import replace
from t2i_repro import cli
from t2i_repro.core.artefact import KINDS
for name, kind in KINDS.items():
    KINDS[name] = replace(kind, module="t2i_repro.fake_flow")
sys.exit(cli.main())
"""


@dataclass
class Copy:
    """A project in a folder of its own."""

    folder: Path
    home: Path

    def run(self, *command: str, check: bool = True, **environment: str) -> Done:
        """Run a command in the project as a user would."""
        own = self.environment(**environment)
        done = subprocess.run(command, cwd=self.folder, env=own, capture_output=True, text=True, timeout=3000)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def environment(self, **environment: str) -> dict[str, str]:
        """Environment variables, with nothing of this machine's DVC settings, and commands that run the copy's code."""
        own = {"PATH": self.path(), "HOME": str(self.home), "DVC_SITE_CACHE_DIR": str(self.home / "dvc")}
        own["PYTHONPATH"] = str(self.folder / "src")
        return {**os.environ, **own, "DVC_NO_ANALYTICS": "1", **environment}

    def path(self, *folders: Path) -> str:
        """PATH with `folders`, then the commands of this interpreter's environment, before the others."""
        return os.pathsep.join([*map(str, folders), str(Path(sys.executable).parent), os.environ["PATH"]])

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> Done:
        return self.run("snakemake", "--cores", "2", *arguments, check=check, **environment)

    def fast(self, *arguments: str) -> Done:
        """Snakemake without the default profile's limit of one GPU job: the fakes need none."""
        return self.snakemake("--resources", "gpu=8", "--set-threads", "train=1", "pretrain=1", "--", *arguments)

    def is_idle(self) -> bool:
        """Whether a dry run of everything finds nothing to do."""
        return "Nothing to be done" in self.snakemake("-n").stdout

    def again(self, folder: Path) -> "Copy":
        """A copy of this copy, with times of change."""
        shutil.copytree(self.folder, folder / "project", symlinks=True)
        (folder / "home").mkdir()
        return Copy(folder / "project", folder / "home")

    def plan(self, **overrides: Any) -> dict[str, Node]:
        """The artefacts the project asks for now, by digest."""
        return {node.digest: node for node in Planner(self.folder, overrides).nodes.values()}

    def journal(self) -> list[dict[str, Any]]:
        """What the fake verbs did, in the order in which they finished."""
        path = self.folder / "results/journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands exactly once in a file."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file}: {old!r} stands there {text.count(old)} times"
        path.write_text(text.replace(old, new))


def make_copy(project: Path, folder: Path, fakes: bool = True, whole: bool = False) -> Copy:
    """A copy of the project's code in `folder`, with fake verbs or the real ones; a git repository without a commit.

    ``whole``: all that the project asks for, instead of `one_paper`.
    """
    copy = Copy(folder / "project", folder / "home")
    copy.folder.mkdir(parents=True)
    copy.home.mkdir()
    for part in PARTS:
        source, target = project / part, copy.folder / part
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, target)
    if not whole:
        one_paper(copy.folder / "params.yaml")
    if fakes:
        (copy.folder / "src/t2i_repro/__main__.py").write_text(MAIN)
        shutil.copy2(HERE / "fake_flow.py", copy.folder / "src/t2i_repro/fake_flow.py")
    copy.run("git", "init", "--quiet")
    return copy


def one_paper(params: Path) -> None:
    """Make a params.yaml ask for SSA-GAN on CUB: what the workflow has to do right shows on a tenth of the jobs."""
    text = re.sub(r"^papers: .*$", "papers: [ssa-gan]", params.read_text(), flags=re.MULTILINE)
    before, smoke, after = text.partition("\n  smoke:\n")
    params.write_text(before + smoke + re.sub("datasets: .*", "datasets: [cub]", after, count=1))


def finished(done: Done) -> Counter[str]:
    """How many jobs of each rule Snakemake finished, however it was called; rules without a command left out."""
    rules = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout + done.stderr, re.MULTILINE)
    return Counter(rule for rule in rules if rule not in ("all", "data", "encoders", "checkpoints", "page"))


PRETRAINED = ("classifier", *artefact_kinds())
RULES = {**dict.fromkeys(PRETRAINED, "pretrain"), "asset": "fetch"}


def rules_of(nodes: Iterable[Node]) -> Counter[str]:
    """How many jobs of each rule it takes to build these."""
    return Counter(RULES.get(node.kind, node.kind) for node in nodes)
