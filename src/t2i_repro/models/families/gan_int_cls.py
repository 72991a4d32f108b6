"""GAN-INT-CLS; `models/gan_int_cls.py` and `training/matching_aware.py` explain the keys."""

from t2i_repro.core.schema import COUNT
from t2i_repro.models.family import CAPTIONS, Family

FAMILY = Family(
    name="gan-int-cls",
    generator="t2i_repro.models.gan_int_cls:build_generator",
    discriminator="t2i_repro.models.gan_int_cls:build_discriminator",
    trainer="t2i_repro.training.matching_aware:MatchingAwareGAN",
    encoders=("char-cnn-rnn",),
    train_options=("optimiser", "halve_every"),
    wrong_images=True,
    required={
        "captions": CAPTIONS,
        "width": COUNT,
        "interpolation": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    },
    optional={"latent": COUNT | {"default": 100}, "condition": COUNT | {"default": 128}},
)
