"""Either stage of StackGAN; `models/stackgan.py` and `training/matching_aware.py` explain the keys."""

from t2i_repro.models.family import CAPTIONS, COUNT, SYSTEM_NAME, WEIGHT, Family

FAMILY = Family(
    name="stackgan",
    generator="t2i_repro.models.stackgan:build_generator",
    discriminator="t2i_repro.models.stackgan:build_discriminator",
    trainer="t2i_repro.training.matching_aware:MatchingAwareGAN",
    encoders=("char-cnn-rnn",),
    wrong_images=True,
    required={"captions": CAPTIONS, "stage": {"enum": [1, 2]}, "width": COUNT, "kl": WEIGHT},
    optional={"after": SYSTEM_NAME, "latent": COUNT, "condition": COUNT, "residuals": COUNT},
)
