# Functions that find a job's artefact in the plan: {name} ends in the digest that identifies it.
# Every path has one, so modification times of inputs mean nothing: all inputs are `ancient`, and a job runs when its
# output is absent.

from t2i_repro.core.digest import DIGEST_LENGTH


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
