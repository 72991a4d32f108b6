rule embed:
    input:
        inputs,
    output:
        "results/{scale}/features/{name}/record.json",
    log:
        "results/{scale}/logs/embed/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/embed/{name}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        attempt=attempt,
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro embed --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule judge:
    input:
        inputs,
    output:
        "results/{scale}/judges/{name}/record.json",
    log:
        "results/{scale}/logs/judge/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/judge/{name}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=4000,
        runtime=60,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro judge --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule score:
    input:
        inputs,
    output:
        "results/{scale}/metrics/{name}/record.json",
    log:
        "results/{scale}/logs/score/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/score/{name}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=4000,
        runtime=30,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro score --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"
