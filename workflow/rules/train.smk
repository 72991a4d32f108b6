# `exec`: a training that is asked to stop (SIGTERM) saves itself, so Python must get the signal and Snakemake must wait for it.
# A bash before 5.1 (RHEL 8) would stand between them and die of the signal first.


rule pretrain:
    input:
        inputs,
    output:
        "results/{scale}/encoders/{name}/record.json",
    log:
        "results/{scale}/logs/pretrain/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/pretrain/{name}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads
    resources:
        attempt=attempt,
        gpu=1,
        mem_mb=8000,
        runtime="2d",
    params:
        spec=spec,
    shell:
        "exec python -m t2i_repro pretrain --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule train:
    input:
        inputs,
    output:
        "results/{scale}/runs/{name}/record.json",
    log:
        "results/{scale}/logs/train/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/train/{name}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads
    resources:
        attempt=attempt,
        gpu=1,
        mem_mb=8000,
        runtime="7d",
    params:
        spec=spec,
    shell:
        "exec python -m t2i_repro train --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule sample:
    input:
        inputs,
    output:
        "results/{scale}/samples/{name}/record.json",
        report(
            "results/{scale}/samples/{name}/preview.png",
            category="Samples",
            labels=labels,
            caption="../report/sample.rst",
        ),
    log:
        "results/{scale}/logs/sample/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/sample/{name}.tsv"
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
        "python -m t2i_repro sample --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"
