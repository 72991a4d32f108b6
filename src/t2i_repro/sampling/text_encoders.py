"""Text sides from the artefacts that hold them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.encoders.loading import load_text_encoder
from t2i_repro.sampling.sentence_text import load_char_cnn_rnn
from t2i_repro.sampling.text import DamsmText, TextSide
from t2i_repro.training.itm import load_itm_text

# (folder of the artefact, prepared data, spec of the `train` node, weights of a run that tuned it)
Loader = Callable[[Path, Prepared, dict[str, Any], Path | None], TextSide]


def load_damsm(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None) -> TextSide:
    return DamsmText(load_text_encoder(folder, prepared, tuned), spec["words"], folder)


LOADERS: dict[str, Loader] = {
    "damsm": load_damsm,
    "itm": load_itm_text,
    "char-cnn-rnn": load_char_cnn_rnn,
}


def load_text(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None = None) -> TextSide:
    """The text side of an artefact of any kind. Raises ReproError where it was never completed or does not fit."""
    return LOADERS[read_record(folder)["kind"]](folder, prepared, spec, tuned)
