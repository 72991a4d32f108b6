# Functions that find a job's artefact in the plan: {name} ends in the digest that identifies it.
# Every path has one, so modification times of inputs mean nothing: all inputs are `ancient`, and a job runs when its
# output is absent.

from snakemake.cli import get_argument_parser

from t2i_repro.core.digest import DIGEST_LENGTH
from t2i_repro.core.record import damaged, set_aside_damaged, set_back_clocks


def planned(wildcards):
    """The node of a job."""
    return planner.by_digest[wildcards.name[-DIGEST_LENGTH:]]


def inputs(wildcards):
    """Records of the artefacts that this one is built from."""
    return [
        ancient(f"{given.path}/record.json")
        for given in planned(wildcards).inputs.values()
    ]


def spec(wildcards):
    """The spec file of a job, its only argument on the command line."""
    return planned(wildcards).spec_file


def training_threads(wildcards):
    """One for small images, where a second thread costs more than it saves (HDGAN at 64 px: twice the time)."""
    return 1 if planned(wildcards).spec["image_size"] <= 64 else 2


def labels(wildcards):
    """What `snakemake --report` calls an artefact."""
    node = planned(wildcards)
    return {"name": node.name, "scale": node.scale, "identity": node.digest}


def targets(*names):
    return [planner.targets[name].record for name in names]


def attempt(wildcards, attempt):
    """Which attempt at a job this is: `retries` start a job again, and its verb wants to know (core/failure.py)."""
    return attempt


def command_line():
    """Arguments of the `snakemake` that a user called; None in a job's own Snakemake. A workflow is not told them."""
    if not workflow.is_main_process or "snakemake" not in sys.argv[0]:
        return None
    return get_argument_parser().parse_known_args(sys.argv[1:])[0]


called = command_line()
# A damaged record marks nothing as complete: what is needed from it could not be built.
if called is not None:
    records = [Path(record) for record in planner.nodes]
    for record in damaged(records) if called.dryrun else set_aside_damaged(records):
        logger.warning(
            f"{record}: damaged; if it is needed, its artefact is built again"
        )
    if not called.dryrun:
        set_back_clocks(records)


# Snakemake does not look for missing files behind a job that must run although its output exists (--forcerun). So a run
# that left out what was asked for fails, and the next one builds it. Files below it may be missing: after `dvc pull`.
# A target such as `page` has no output: what it asks for is its input.
onsuccess:
    missing = [
        path
        for job in workflow.dag.targetjobs
        for path in job.output
        or job.input  # of a name such as `page`: what it is for
        if not Path(path).exists()
    ]
    if missing:
        raise WorkflowError(
            f"{len(missing)} files that were asked for are not there, such as {missing[0]}: a job ran whose output "
            "existed, and Snakemake looked no further. Give the same command again to build them."
        )
