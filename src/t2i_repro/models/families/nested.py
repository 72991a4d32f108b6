"""HDGAN and its ablations; `models/nested.py` and `training/nested.py` explain the keys."""

from t2i_repro.models.family import CAPTIONS, COUNT, SWITCH, SYSTEM_NAME, WEIGHT, Family, keys

FAMILY = Family(
    name="nested",
    generator="t2i_repro.models.nested:build_generator",
    discriminator="t2i_repro.models.nested:build_discriminator",
    trainer="t2i_repro.training.nested:NestedGAN",
    encoders=("char-cnn-rnn",),
    wrong_images=True,
    required={
        "captions": CAPTIONS,
        "width": COUNT,
        "scales": {"type": "array", "minItems": 1, "items": {"enum": [8, 4, 2, 1]}},
        "image_loss": {"enum": ["none", "global", "local"]},
        "kl": WEIGHT,
        "switches": keys(dict.fromkeys(("patches", "wrong_image", "pair_weights", "mismatch"), SWITCH)),
    },
    optional={
        "after": SYSTEM_NAME,
        "latent": COUNT,
        "condition": COUNT,
        "extension": keys({"repeats": COUNT, "l1": WEIGHT}),
    },
)
