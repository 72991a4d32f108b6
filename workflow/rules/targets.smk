from difflib import get_close_matches

# Parts of the whole that can be asked for by name: `snakemake --cores all encoders`, `.. ssa-gan`, `.. ssa-gan-table2`.


rule data:
    input:
        targets("data"),


rule encoders:
    input:
        targets("encoders"),


rule checkpoints:
    input:
        targets("checkpoints"),


rule page:
    input:
        targets("report"),


for paper in planner.params["papers"]:
    shown = [
        node
        for node in planner.nodes.values()
        if node.kind in ("table", "figure") and node.spec["paper"] == paper
    ]

    rule:
        name:
            paper
        input:
            [node.record for node in shown],

    for node in shown:

        rule:
            name:
                node.name
            input:
                node.record,


# Snakemake would only say that no rule produces a misspelt name.
known = {"all"} | {rule.name for rule in workflow.rules}
for target in called.targets if called is not None else ():
    if "/" not in target and target not in known and not Path(target).exists():
        near = get_close_matches(target, known) or ["all", *planner.params["papers"]]
        raise WorkflowError(
            f"{target}: nothing has this name; nearest: {', '.join(near)}"
        )
