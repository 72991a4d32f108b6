"""What is rebuilt, and what is not: by Snakemake, by DVC, by one after the other, with and without .snakemake/."""

import os
import shutil
import time
from itertools import pairwise

import pytest
from project_copy import Copy, Done, finished, rules_of


def test_a_second_snakemake_does_nothing(built: Copy) -> None:
    assert not finished(built.snakemake())
    assert built.is_idle()


def test_dvc_repro_after_snakemake_runs_no_job_and_the_next_one_nothing_at_all(built: Copy) -> None:
    first, second = built.run("dvc", "repro"), built.run("dvc", "repro")
    assert first.stdout.count("Running stage") == 4
    assert not finished(first)
    assert "Running stage" not in second.stdout
    assert built.is_idle()


def test_snakemake_after_dvc_repro_runs_no_job(reproduced: Copy, reproduced_once: tuple[Copy, Done]) -> None:
    assert finished(reproduced_once[1]) == rules_of(reproduced.plan().values())
    assert not finished(reproduced.snakemake())
    assert "Running stage" not in reproduced.run("dvc", "repro").stdout


def test_gpu_jobs_wait_for_each_other_unless_told_otherwise(
    built_once: Copy, reproduced_once: tuple[Copy, object]
) -> None:
    def together(copy: Copy) -> int:
        times = [
            (job["started"], job["ended"]) for job in copy.journal() if job["verb"] in ("train", "sample", "embed")
        ]
        times.sort()
        assert len(times) > 20
        return sum(ended > started for (_, ended), (started, _) in pairwise(times))

    assert together(reproduced_once[0]) == 0
    assert together(built_once) > 0  # it was built with gpu=8: else this test could not fail


# One parameter of each of: a system, a protocol, the samples. (file, text, its replacement, kinds that depend on it)
CHANGES = {
    "one system's optimiser": (
        "papers/ssa-gan.yaml",
        "ssa-gan-2-masks: {base: ssa-gan, masks: 2}",
        "ssa-gan-2-masks: {base: ssa-gan, masks: 2, train: {betas: [0.5, 0.9]}}",
        {"train", "sample", "embed", "score", "table", "report", "store"},
    ),
    "splits of a protocol": (
        "params.yaml",
        '"is:finetuned": {metric: inception-score, network: finetuned, splits: 10}',
        '"is:finetuned": {metric: inception-score, network: finetuned, splits: 5}',
        {"score", "table", "report"},
    ),
    "number of images": (
        "params.yaml",
        "sample: {images: 120}",
        "sample: {images: 60}",
        {"sample", "embed", "score", "table", "report"},
    ),
}


@pytest.mark.parametrize(
    ("change", "front_end"),
    [
        ("one system's optimiser", "snakemake"),
        ("one system's optimiser", "dvc"),
        ("splits of a protocol", "dvc"),
        ("number of images", "snakemake"),
    ],
)
def test_a_changed_parameter_rebuilds_what_depends_on_it(
    change: str, front_end: str, built: Copy, reproduced: Copy
) -> None:
    file, old, new, kinds = CHANGES[change]
    copy = built if front_end == "snakemake" else reproduced

    def run() -> Done:
        return copy.fast() if front_end == "snakemake" else copy.run("dvc", "repro")

    before, done_before = copy.plan(), len(copy.journal())
    shutil.rmtree(copy.folder / ".snakemake")
    copy.edit(file, old, new)
    after = copy.plan()
    changed = {digest: node for digest, node in after.items() if digest not in before}
    expected = rules_of(changed.values())
    assert set(expected) == kinds
    assert expected["train"] <= 1

    assert finished(run()) == expected
    journal = copy.journal()[done_before:]
    assert {job["digest"] for job in journal} == {digest for digest, node in changed.items() if node.kind != "store"}
    assert len(journal) == len({job["digest"] for job in journal})

    # Back again: everything is still there, but the leaves, which stand at one path for all plans.
    shutil.rmtree(copy.folder / ".snakemake")
    copy.edit(file, new, old)
    assert finished(run()) == {kind: 1 for kind in kinds & {"report", "store"}}


def test_an_edit_of_code_or_of_a_rule_rebuilds_nothing(reproduced: Copy) -> None:
    before = reproduced.journal()
    reproduced.edit(
        "src/t2i_repro/planning/plan.py", "from pathlib import Path", "from pathlib import Path  # a remark"
    )
    reproduced.edit("workflow/rules/train.smk", "t2i_repro train --spec", "t2i_repro  train  --spec")
    reproduced.edit("workflow/rules/train.smk", 'runtime="7d"', 'runtime="6d"')
    done = reproduced.run("dvc", "repro")
    assert done.stdout.count("Running stage") == 4  # DVC sees the edits, and Snakemake knows better
    assert not finished(done)
    assert not finished(reproduced.snakemake())
    assert reproduced.journal() == before


def test_a_missing_intermediate_is_not_missed(built: Copy) -> None:
    shutil.rmtree(built.folder / "results/smoke/features")
    assert built.is_idle()


def test_older_files_than_their_inputs_are_not_stale(built: Copy) -> None:
    """A checkout, a copy or a pull gives files any time of change."""
    for record in (built.folder / "results/smoke/data").rglob("record.json"):
        record.touch()
    shutil.rmtree(built.folder / ".snakemake")
    assert built.is_idle()


def test_a_clock_that_was_set_back_hinders_nothing(built: Copy) -> None:
    """Snakemake by itself fails a job whose inputs are newer than its output, and removes the output."""
    later = time.time() + 1e6
    for record in (built.folder / "results/smoke").rglob("record.json"):
        os.utime(record, (later, later))
    table = next(node for node in built.plan().values() if node.name == "ssa-gan-table2")
    shutil.rmtree(built.folder / table.folder)
    assert finished(built.snakemake("ssa-gan-table2")) == {"table": 1}
