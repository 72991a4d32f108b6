"""Configuration, identity and provenance. Nothing here imports torch, Snakemake or DVC."""
