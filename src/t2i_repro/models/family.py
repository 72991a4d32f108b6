"""Families of networks: what each one declares, in a module of `models/families/`. Needs no torch.

A declaration holds all that the rest of the project knows of a family: the keys of its systems in papers/*.yaml and
references to the functions that build its networks and to the class that trains them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from t2i_repro.core.declarations import declared
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import conditioning_encoders

Schema = dict[str, Any]


def keys(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """JSON schema of a mapping with these keys and no others."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "additionalProperties": False, "required": [*required], "properties": properties}


# Schemas of the values of a system.
COUNT: Schema = {"type": "integer", "minimum": 1}
RATE: Schema = {"type": "number", "exclusiveMinimum": 0}
WEIGHT: Schema = {"type": "number", "minimum": 0}
SWITCH: Schema = {"enum": ["code", "printed"]}
SYSTEM_NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}
GAMMAS: dict[str, Schema] = {"gamma1": RATE, "gamma2": RATE, "gamma3": RATE}
# Which of an image's sentence embeddings a system on char-CNN-RNN reads.
CAPTIONS = keys({"train": {"enum": ["mean-of-4", "random", "first"]}, "test": {"enum": ["random", "first"]}})
BETA: Schema = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
TRAIN = keys(
    {
        "image_size": {"type": "integer", "minimum": 8},
        "base_size": {"enum": [1, 2, 4]},
        "batch": {"type": "integer", "minimum": 2},
        "words": COUNT,
        "epochs": COUNT,
        "lr_g": RATE,
        "lr_d": RATE,
        "betas": {"type": "array", "items": BETA, "minItems": 2, "maxItems": 2},
        "ema": {"type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    },
    {
        # How many times, its end included, weights are kept; and after how many epochs both rates are halved.
        "snapshots": COUNT,
        "halve_every": COUNT,
        "optimiser": {"enum": ["adam", "adamax"]},
    },
)


@dataclass(frozen=True)
class Family:
    """One family of networks and how it is trained.

    ``name``: value of ``kind`` of its systems in papers/*.yaml.
    ``required``, ``optional``: schemas of the keys of its systems, besides ``kind``, ``encoder`` and ``train``.
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
    encoders: tuple[str, ...] | None = None
    wrong_images: bool = False
    released_discriminator: str | None = None

    @property
    def schema(self) -> Schema:
        """JSON schema of a system of this family, on one dataset."""
        encoders = conditioning_encoders() if self.encoders is None else self.encoders
        common: dict[str, Schema] = {"kind": {"const": self.name}, "encoder": {"enum": [*encoders]}}
        return keys({**common, **self.required, "train": TRAIN}, self.optional)


def families() -> dict[str, Family]:
    """Every declared family by name."""
    return declared("t2i_repro.models.families", Family)


def family_of(system: Mapping[str, Any], place: str = "system") -> Family:
    """The family of a system. Raises ReproError, with the ``place`` of the system, if there is none."""
    known, kind = families(), system.get("kind")
    if kind not in known:
        raise ReproError(f"{place}.kind: found {kind!r}; allowed: {', '.join(map(repr, known))}")
    return known[kind]
