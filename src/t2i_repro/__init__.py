"""Rebuild every table and figure of text-to-image GAN papers from one DAG."""

__version__ = "0.1.0"
