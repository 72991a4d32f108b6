# Parts of the whole that can be asked for by name: `snakemake --cores all encoders`.


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
