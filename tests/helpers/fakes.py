"""A tiny project of fake artefacts for rendering; nothing is trained."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from t2i_repro.core.artefact import Node
from t2i_repro.core.files import hash_files
from t2i_repro.core.record import AlreadyBuilt, building, write_json
from t2i_repro.rendering import report, tables

HOSTILE = """=1+1 <b>x</b> & "q" 'a' 5% $y$ \\z_{a}^b #1 ~ [i](j) *s* `c` | {{ t }} -- <script>alert(1)</script>"""
LABELS = {"scale_label": "smoke scale, seconds", "data_label": "stand-in data (procedural)"}


def node(kind: str, name: str, spec: dict[str, Any], scale: str = "smoke", **inputs: Node) -> Node:
    """A node with these inputs by role (`__` for `/`)."""
    by_role = {role.replace("__", "/"): source.as_input() for role, source in inputs.items()}
    return Node(kind=kind, name=name, scale=scale, spec=spec, inputs=by_role)


def build(made: Node, write: Any = None, facts: dict[str, Any] | None = None) -> Node:
    """Complete an artefact: `write(folder)`, then its record."""
    folder = Path(made.folder)
    with suppress(AlreadyBuilt), building(made, folder) as work:
        if write:
            write(folder)
        work.facts |= facts or {}
    return made


def write_record(made: Node) -> None:
    """Complete the artefact in a node's folder by hand, without its inputs."""
    folder = Path(made.folder)
    (folder / "record.json").unlink(missing_ok=True)
    record = {**made.to_json(), "facts": {}, "files": hash_files(folder), "wall_seconds": 1}
    (folder / "record.json").write_text(json.dumps(record))


def metric(value: float, std: float | None = None, **changes: Any) -> dict[str, Any]:
    """A metric.json of a stand-in at smoke scale."""
    return {
        "protocol": "is:standin" if std is not None else "fid:standin",
        "asked": "is:finetuned" if std is not None else "fid:tf",
        "metric": "inception-score" if std is not None else "frechet-distance",
        "value": value,
        "std": std,
        "n": 120,
        "network": "cub-standin-test-classes-0123456789",
        "network_sha256": "ab" * 32,
        "standin": True,
        "comparable": False,
        "obstacles": ["smoke scale", "stand-in data", "stand-in network"],
        "caveats": [],
        "reference": None if std is not None else {"split": "test", "n": 60, "data": "results/x", "standin": True},
        "run": None,
        "details": {"splits": 10}
        if std is not None
        else {"noise_floor": {"value": 0.5, "n": [30, 30], "of": "halves"}},
        **changes,
    }


COMPARABLE = {"comparable": True, "obstacles": [], "standin": False, "release": "0123456789"}


class Project:
    """Two runs with samples and scores, two tables and a figure, in the current folder."""

    def __init__(self, label: str = "ID 1: SSACN", caption: str = "a small red bird with a black wing") -> None:
        self.caption = caption
        self.runs = {name: self.run(name, seed) for seed, name in enumerate(("df-gan", "ssa-gan"))}
        self.samples = {name: self.sample(name, run) for name, run in self.runs.items()}
        scores = {}
        for name, row in (("df-gan", "id0"), ("ssa-gan", "id1")):
            for column, value in (("is", metric(1.2 + len(name) / 10, 0.05)), ("fid", metric(31.5 - len(name)))):
                scores[f"{row}__{column}__0"] = self.score(name, column, value)
        rows = {
            "id0": {"label": "ID 0: DF-GAN", "system": "df-gan", "printed": {"is": [4.86, 0.04], "fid": 19.24}},
            "id1": {
                "label": label,
                "system": "ssa-gan",
                "printed": {"is": [4.97, 0.09]},
                "blank": "unfinished",
                "note": f"Note: {label}",
            },
            "id2": {"label": "StackGAN++", "printed": {"is": [4.04, 0.06], "fid": 15.3}},
        }
        missing = {"id2/is": "printed only: no system of ours", "id2/fid": "printed only: no system of ours"}
        self.table = self.make_table("table2", rows, missing, scores)
        self.figure = self.make_figure()
        shown = {"ssa-gan__table2": self.table, "ssa-gan__fig5": self.figure}
        shown |= {f"sample__cub-{name}-s0": sample for name, sample in self.samples.items()}
        shown |= {f"train__cub-{name}-s0": run for name, run in self.runs.items()}
        paper = {"title": f"A paper on {label}", "authors": "A. Author", "source": "arXiv 2104.00567"}
        spec = {"papers": {"ssa-gan": paper}, "registry": self.registry(label), "systems": {}, **LABELS}
        waiting = {"where": "Fig. 12", "caption": f"Captions changed: {label}", "reason": f"not built: {label}"}
        spec |= {"not_built": {"ssa-gan/fig12": waiting}, "divergences": divergences(label)}
        self.report = node("report", "report", spec, **shown)

    def registry(self, label: str) -> dict[str, Any]:
        """The paper shown, and another that prints one of its numbers otherwise."""
        says = {"where": f"Sec. 1, {label}", "says": f"It is better: {label}", "note": f"Read so: {label}"}
        claims = {
            "holds": {**says, "check": "table2.id0.is > table2.id2.is"},
            "fails": {**says, "check": "best(table2.id0.fid)"},
            "unknown": {**says, "check": "table2.id1.fid < table2.id0.fid"},
        }
        table = {key: self.table.spec[key] for key in ("where", "caption", "columns", "rows")}
        other_rows = {"stackgan": {"label": label, "system": "df-gan", "printed": {"is": 3.7, "fid": 13.48}}}
        other = {"id": "other", "title": f"Other {label}"}
        return {
            "ssa-gan": {"id": "ssa-gan", "title": label, "tables": {"table2": table}, "claims": claims},
            "other": {**other, "tables": {"table1": {**table, "where": label, "rows": other_rows}}},
        }

    def run(self, name: str, seed: int) -> Node:
        system = {"kind": "one-stage", "block": "affine", "width": 8, "matching": {"damsm": 0.05}}
        made = node("train", f"cub-{name}-s0", {"system": system, "image_size": 16, "seed": seed})

        def write(folder: Path) -> None:
            rng = np.random.default_rng(seed)
            lines = ["step,d_loss,g_loss,damsm,d_real"]
            for step in range(60):
                values = (2 + 3 * np.exp(-step / 15) + rng.normal(0, 0.2), rng.normal(-0.5, 0.4), rng.random(), 1.0)
                lines.append(",".join(map(str, (step, *values))))
            (folder / "losses.csv").write_text("\n".join(lines) + "\n")
            (folder / "grids").mkdir()
            for step in (20, 40, 60):
                picture(48, seed + step).save(folder / "grids" / f"step-{step:06d}.png")

        return build(made, write, {"steps": 60, "handled": {"empty caption": 2}})

    def sample(self, name: str, run: Node) -> Node:
        def write(folder: Path) -> None:
            images = np.random.default_rng(len(name)).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
            np.save(folder / "images.npy", images)
            lines = ["index,image_id,caption_id,caption"]
            quoted = self.caption.replace('"', '""')
            lines += [f'{index},bird {index},{index},"{quoted}"' for index in range(20)]
            (folder / "captions.csv").write_text("\n".join(lines) + "\n")
            picture(64, 1).save(folder / "preview.png")

        return build(node("sample", f"cub-{name}-s0", {"images": 20, "seed": 0}, run=run), write)

    def score(self, name: str, column: str, value: dict[str, Any], seed: int = 0) -> Node:
        run = self.runs.get(name)
        value = value | {"run": run and {"path": run.folder, "digest": run.digest}}
        inputs = {} if run is None else {"run": run}
        made = node(
            "score", f"cub-{name}-s{seed}-{column}", {"protocol": value["asked"], "images": value["n"]}, **inputs
        )
        return build(made, lambda folder: write_json(folder / "metric.json", value), {"value": value["value"]})

    def make_table(
        self, table: str, rows: dict[str, Any], missing: dict[str, str], scores: dict[str, Node], **changes: Any
    ) -> Node:
        columns = {
            "is": {"label": "IS", "protocol": "is:finetuned", "dataset": "cub", "better": "higher", "digits": 2},
            "fid": {"label": "FID", "protocol": "fid:tf", "dataset": "cub", "better": "lower", "digits": 2},
        }
        spec = {
            "paper": "ssa-gan",
            "table": table,
            "where": "Sec. 4.3, Table 2",
            "caption": "Ablation of SSACN and DAMSM.",
            "columns": columns,
            "rows": rows,
            "missing": missing,
            **LABELS,
            **changes,
        }
        made = node("table", f"{spec['paper']}-{table}", spec, **scores)
        with suppress(AlreadyBuilt), building(made, Path(made.folder)) as work:
            tables.run(made, Path(made.folder), work)
        return made

    def make_figure(self) -> Node:
        spec = {
            "paper": "ssa-gan",
            "figure": "fig5",
            "where": "Sec. 4.3, Fig. 5",
            "caption": "Mask maps predicted in the SSACN blocks.",
            "kind": "mask-maps",
            "system": "ssa-gan",
            "dataset": "cub",
            **LABELS,
        }

        def write(folder: Path) -> None:
            picture(120, 3).save(folder / "figure.png")
            (folder / "figure.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
            write_json(
                folder / "figure.json", {"alt": f"Masks of {self.caption}", "notes": ["Words dropped: chartreuse."]}
            )

        return build(node("figure", "ssa-gan-fig5", spec, run=self.runs["ssa-gan"]), write)


def divergences(text: str) -> str:
    """A `docs/divergences.md` with a section of the paper shown, one of another, and one that has an entry of both."""
    return (
        f"# Where paper and code disagree\n\nHow to read it.\n\n## SSA-GAN\n\n### Norm\n- **Paper**: {text}\n"
        f"- **Code**: `{text.replace('`', '')}`,\n  *squared*.\n\n"
        f"## DF-GAN\n\n### Width\nA paragraph\nof two lines.\n\n"
        f"## Shared\n- An item.\n\n### Clipping (DM-GAN, SSA-GAN)\n- **We**: both.\n"
    )


def picture(size: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def built(project: Project) -> Path:
    """The report's folder, with the report in it."""
    folder = Path(project.report.folder)
    with building(project.report, folder) as work:
        report.run(project.report, folder, work)
    return folder
