# Entry of the workflow. What there is to build is planned in src/t2i_repro/planning/plan.py, from params.yaml and papers/;
# the rules only say how each kind of artefact is built on a machine.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
source = Path("src").resolve()
sys.path.insert(0, str(source))

from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner, write_specs


configfile: "params.yaml"


report: "workflow/report/workflow.rst"


try:
    planner = Planner(Path("."), workflow.config_settings.overwrite_config)
    write_specs(planner)
except ReproError as error:
    raise WorkflowError(str(error)) from None

# Jobs find the package without an installation: in conda environments and on cluster nodes too.
shell.prefix(f"export PYTHONPATH='{source}'; ")


wildcard_constraints:
    scale="[a-z0-9-]+",
    name="[a-z0-9-]+",


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/targets.smk"


rule all:
    default_target: True
    input:
        targets("report", "data", "encoders", "checkpoints"),


# Snakemake does not look for missing files behind a job that must run although its output exists (--forcerun). So a run
# that left one out fails, and the next one builds it.
onsuccess:
    missing = [
        path
        for job in workflow.dag.jobs
        for path in job.output
        if not Path(path).exists()
    ]
    if missing:
        raise WorkflowError(
            f"{len(missing)} files that were asked for are not there, such as {missing[0]}: a job ran whose output "
            "existed, and Snakemake looked no further. Give the same command again to build them."
        )
