"""Families of networks: what each one declares, in a module of `models/families/`. Needs no torch.

A declaration holds all that the rest of the project knows of a family: the keys of its systems in papers/*.yaml and
references to the functions that build its networks and to the class that trains them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t2i_repro.core.choices import CHOICES, OPTIMISERS, TEST_CHOICES
from t2i_repro.core.declarations import declared
from t2i_repro.core.schema import COUNT, RATE, Schema, choice, keys
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import conditioning_encoders

SYSTEM_NAME: Schema = {"type": "string", "pattern": r"^[a-z0-9]+(-[a-z0-9]+)*\Z"}
# Which of an image's sentence embeddings a system on char-CNN-RNN reads.
CAPTIONS = keys({"train": choice(CHOICES), "test": choice(TEST_CHOICES)})
BETA: Schema = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
TRAIN: dict[str, Schema] = {
    "image_size": {"type": "integer", "minimum": 8},
    "base_size": {"enum": [1, 2, 4]},
    "batch": {"type": "integer", "minimum": 2},
    "words": COUNT,
    "epochs": COUNT,
    "lr_g": RATE,
    "lr_d": RATE,
    "betas": {"type": "array", "items": BETA, "minItems": 2, "maxItems": 2},
    "ema": {"type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 1},
}
# Keys of `train` that every family reads: how many times, its end included, weights are kept.
COMMON_OPTIONS: dict[str, Schema] = {"snapshots": COUNT}
# Keys that a family reads if its `train_options` name them.
TRAIN_OPTIONS: dict[str, Schema] = {
    "optimiser": choice(OPTIMISERS) | {"default": "adam"},
    # Epochs after which both rates are halved; default: never.
    "halve_every": COUNT,
}


@dataclass(frozen=True)
class Family:
    """One family of networks and how it is trained.

    ``name``: value of ``kind`` of its systems in papers/*.yaml.
    ``required``, ``optional``: schemas of the keys of its systems, besides ``kind``, ``encoder`` and ``train``; an
    optional key may have a ``default`` there.
    ``train_options``: the keys of `TRAIN_OPTIONS` that its training reads; it is refused the others.
    ``constants``: numbers that its code reads and no key changes. `t2i-repro show` prints them.
    ``encoders``: the text encoders that it can read captions through; None: any of them.
    ``wrong_images``: whether its training reads, for each caption, an image of another class too.

    References, ``module:name``, to what needs torch:
    ``generator(system, image_size, base_size, text_dim)`` -> Generator, with untrained weights.
    ``discriminator(system, image_size, text_dim)`` -> Module, likewise.
    ``released_discriminator``: the same with the parameters that the released code creates and never uses, to count
    them; None: there are none.
    ``trainer``: a subclass of ``training.gan.GAN``.
    """

    name: str
    generator: str
    discriminator: str
    trainer: str
    required: Mapping[str, Schema]
    optional: Mapping[str, Schema] = field(default_factory=dict)
    train_options: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    encoders: tuple[str, ...] | None = None
    wrong_images: bool = False
    released_discriminator: str | None = None

    @property
    def schema(self) -> Schema:
        """JSON schema of a system of this family, on one dataset."""
        encoders = conditioning_encoders() if self.encoders is None else self.encoders
        common: dict[str, Schema] = {"kind": {"const": self.name}, "encoder": choice(encoders)}
        train = keys(TRAIN, {**COMMON_OPTIONS, **{key: TRAIN_OPTIONS[key] for key in self.train_options}})
        return keys({**common, **self.required, "train": train}, self.optional)

    def default(self, key: str) -> Any:
        """The value of an optional key that a system leaves out."""
        return self.optional[key]["default"]


def families() -> dict[str, Family]:
    """Every declared family by name."""
    return declared("t2i_repro.models.families", Family)


def family_of(system: Mapping[str, Any], place: str = "system") -> Family:
    """The family of a system. Raises ReproError, with the ``place`` of the system, if there is none."""
    known, kind = families(), system.get("kind")
    if kind not in known:
        raise ReproError(f"{place}.kind: found {kind!r}; allowed: {', '.join(map(repr, known))}")
    return known[kind]
