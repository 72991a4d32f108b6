rule standin:
    input:
        inputs,
    output:
        "results/{scale}/data/{name}/record.json",
    log:
        "results/{scale}/logs/standin/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/standin/{name}.tsv"
    wildcard_constraints:
        name="raw-[a-z0-9-]+",
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=1000,
        runtime=30,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro standin --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule prepare:
    input:
        inputs,
    output:
        "results/{scale}/data/{name}/record.json",
    log:
        "results/{scale}/logs/prepare/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/prepare/{name}.tsv"
    wildcard_constraints:
        name="(?!raw-)[a-z0-9-]+",
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=2000,
        runtime=240,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro prepare --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


# Compute nodes of a cluster often have no internet.
rule fetch:
    input:
        inputs,
    output:
        "results/{scale}/assets/{name}/record.json",
    log:
        "results/{scale}/logs/fetch/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/fetch/{name}.tsv"
    localrule: True
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=1000,
        runtime=120,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro fetch-asset --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule outside:
    input:
        inputs,
    output:
        "results/{scale}/outside/{name}/record.json",
    log:
        "results/{scale}/logs/import/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/import/{name}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=1000,
        runtime=120,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro import --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"
