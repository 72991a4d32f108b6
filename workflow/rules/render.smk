rule table:
    input:
        inputs,
    output:
        "results/{scale}/tables/{name}/record.json",
        report(
            "results/{scale}/tables/{name}/table.html",
            category="Tables",
            labels=labels,
            caption="../report/table.rst",
        ),
    log:
        "results/{scale}/logs/table/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/table/{name}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=1000,
        runtime=10,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro render --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule figure:
    input:
        inputs,
    output:
        "results/{scale}/figures/{name}/record.json",
        report(
            "results/{scale}/figures/{name}/figure.png",
            category="Figures",
            labels=labels,
            caption="../report/figure.rst",
        ),
    log:
        "results/{scale}/logs/figure/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/figure/{name}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=4000,
        runtime=30,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro render --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule report:
    input:
        inputs,
    output:
        "results/{scale}/report/record-{name}.json",
    log:
        "results/{scale}/logs/report/{name}.log",
    benchmark:
        "results/{scale}/benchmarks/report/{name}.tsv"
    conda:
        "../envs/base.yaml"
    threads: 1
    resources:
        attempt=attempt,
        mem_mb=1000,
        runtime=10,
    params:
        spec=spec,
    shell:
        "python -m t2i_repro report --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"


rule store:
    input:
        inputs,
    output:
        "results/{scale}/store/{leaf}/record-{name}.json",
    log:
        "results/{scale}/logs/store/{leaf}-{name}.log",
    benchmark:
        "results/{scale}/benchmarks/store/{leaf}-{name}.tsv"
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
        "python -m t2i_repro store --spec {params.spec} --attempt {resources.attempt} > {log} 2>&1"
