# Functions that find a job's artefact in the plan: the digest at the end of {name} is its identity.
# Every path carries one, so an input's time of change means nothing: all inputs are `ancient`, and a job runs when
# its output is absent.

planned = planner.by_digest


def inputs(wildcards):
    """Records of the artefacts that this one is built from."""
    node = planned[wildcards.name[-10:]]
    return [ancient(f"{given.path}/record.json") for given in node.inputs.values()]


def spec(wildcards):
    """The file that says all of it to the command line."""
    return planned[wildcards.name[-10:]].spec_file


def training_threads(wildcards):
    """On small images a second thread costs more than it brings (HDGAN at 64 px: twice the time)."""
    return 1 if planned[wildcards.name[-10:]].spec["image_size"] <= 64 else 2


def labels(wildcards):
    """What `snakemake --report` calls an artefact."""
    node = planned[wildcards.name[-10:]]
    return {"name": node.name, "scale": node.scale, "identity": node.digest}


def targets(*names):
    return [planner.targets[name].record for name in names]
