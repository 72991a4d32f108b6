# Entry of the workflow. What there is to build is planned in src/t2i_repro/planning/plan.py, from params.yaml and papers/;
# the rules only say how each kind of artefact is built on a machine.
import shlex
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
# Beside this file, wherever Snakemake was called: params.yaml, papers/ and results/ are those of the working directory.
here = workflow.current_basedir.get_path_or_uri(secret_free=True)
source = Path(here, "src").resolve()
if not source.is_dir() or any(character in str(source) for character in ":{}"):
    raise WorkflowError(
        f"{source}: not a folder of a clone, or with : or braces in its path, which PYTHONPATH and Snakemake misread"
    )
sys.path.insert(0, str(source))

from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner, write_specs


configfile: "params.yaml"


report: "workflow/report/workflow.rst"


# For --sdm apptainer: in the working directory, built from workflow/container.def (docs/slurm.md).
container: "t2i-repro.sif"


try:
    planner = Planner(Path("."), workflow.config_settings.overwrite_config)
    write_specs(planner)
except ReproError as error:
    raise WorkflowError(str(error)) from None

# Jobs find the package without an installation: in conda environments and on cluster nodes too.
shell.prefix(f"export PYTHONPATH={shlex.quote(str(source))}; ")


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
