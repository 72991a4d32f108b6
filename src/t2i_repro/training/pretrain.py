"""Verb ``pretrain``: a classifier or a text encoder, through the same loop as the GANs."""

from pathlib import Path
from typing import Any, cast

from t2i_repro.core.artefact import Node
from t2i_repro.core.declarations import resolve
from t2i_repro.core.record import Build
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.text_encoder import encoder_of
from t2i_repro.training.classifier import run_classifier


def run(node: Node, out: Path, build: Build) -> None:
    """Train what the node describes: a ``classifier``, or a text encoder by the function that it declares."""
    prepared = Prepared(build.input("data"))
    build.facts["standin"] = prepared.raw_is_standin
    encoder = encoder_of(node.kind, node.spec)
    pretrain = run_classifier if encoder is None else cast(Any, resolve(encoder.pretrain))
    pretrain(node, out, build, prepared)
