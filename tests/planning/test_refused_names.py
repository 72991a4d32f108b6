"""Names that would be misread: as paths, in shell commands, or as targets of Snakemake."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from t2i_repro.core.schema import schemas
from t2i_repro.errors import ReproError
from t2i_repro.metrics.registry import metrics
from t2i_repro.models.family import families
from t2i_repro.models.text_encoder import param_sections
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import RULES


def patterns(schema: Any) -> Iterator[str]:
    """Every regular expression of a JSON schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        yield from schema.get("patternProperties", {})
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list | tuple) else ():
        yield from patterns(part)


def test_no_pattern_accepts_a_newline_at_the_end() -> None:
    """In Python `$` also matches before one."""
    shown = [(name, pattern) for name, schema in schemas().items() for pattern in patterns(schema)]
    shown += [(family.name, pattern) for family in families().values() for pattern in patterns(family.schema)]
    shown += [(metric.name, pattern) for metric in metrics().values() for pattern in patterns(metric.schema)]
    shown += [(name, pattern) for name, section in param_sections().items() for pattern in patterns(section)]
    assert len(shown) > 10
    assert [(name, pattern) for name, pattern in shown if not pattern.endswith(r"\Z")] == []


@pytest.fixture
def papers(project: Path, tmp_path: Path) -> Path:
    """A folder `papers/` to be changed; `tmp_path` is its project."""
    shutil.copytree(project / "papers", tmp_path / "papers")
    shutil.copy2(project / "params.yaml", tmp_path)
    return tmp_path / "papers"


def paper(papers: Path, name: str, **changes: Any) -> None:
    """Add a paper without claims, from ICSD-GAN's tables."""
    content = yaml.safe_load((papers / "icsd-gan.yaml").read_text(encoding="utf-8"))
    content |= {"id": name, "systems": {}, "claims": {}, **changes}
    (papers / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def test_a_system_whose_name_ends_in_a_newline_is_refused(papers: Path) -> None:
    paper(papers, "new", systems={"ssa-x\n": {"base": "ssa-gan"}})
    with pytest.raises(ReproError, match="ssa-x"):
        Planner(papers.parent, {"papers": ["ssa-gan"]})


def test_a_protocol_whose_name_ends_in_a_newline_is_refused(papers: Path) -> None:
    with pytest.raises(ReproError, match="unknown key"):
        Planner(papers.parent, {"protocols": {"fid:new\n": {"metric": "fid", "network": "tf"}}})


@pytest.mark.parametrize("name", ["all", "data", "page", "report", "train"])
def test_a_paper_called_like_a_rule_is_refused(papers: Path, name: str) -> None:
    paper(papers, name)
    with pytest.raises(ReproError, match=f"'{name}' is the name of a rule of the workflow"):
        Planner(papers.parent, {"papers": ["ssa-gan"]})


def test_two_papers_with_one_target_are_refused(papers: Path) -> None:
    paper(papers, "ssa-gan-table2")
    with pytest.raises(ReproError, match="'ssa-gan-table2' is the name of what papers/"):
        Planner(papers.parent, {"papers": ["ssa-gan"]})


def test_every_rule_of_the_workflow_is_known(project: Path) -> None:
    files = [project / "Snakefile", *(project / "workflow").rglob("*.smk")]
    assert set(re.findall(r"^rule (\w+):", "".join(file.read_text() for file in files), re.M)) == RULES
