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
