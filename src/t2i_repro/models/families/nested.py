"""HDGAN and its ablations; `models/nested.py` and `training/nested.py` explain the keys."""

from t2i_repro.core.choices import IMAGE_LOSSES
from t2i_repro.core.schema import COUNT, SWITCH, WEIGHT, choice, keys
from t2i_repro.models.family import CAPTIONS, SYSTEM_NAME, Family

FAMILY = Family(
    name="nested",
    generator="t2i_repro.models.nested:build_generator",
    discriminator="t2i_repro.models.nested:build_discriminator",
    trainer="t2i_repro.training.nested:NestedGAN",
    encoders=("char-cnn-rnn",),
    train_options=("optimiser", "halve_every"),
    wrong_images=True,
    required={
        "captions": CAPTIONS,
        "width": COUNT,
        "scales": {"type": "array", "minItems": 1, "items": {"enum": [8, 4, 2, 1]}},
        "image_loss": choice(IMAGE_LOSSES),
        "kl": WEIGHT,
        "switches": keys(dict.fromkeys(("patches", "wrong_image", "pair_weights", "mismatch"), SWITCH)),
    },
    optional={
        "after": SYSTEM_NAME,
        "latent": COUNT | {"default": 100},
        "condition": COUNT | {"default": 128},
        "extension": keys({"repeats": COUNT, "l1": WEIGHT}),
    },
)
