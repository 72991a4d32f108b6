"""Either stage of StackGAN; `models/stackgan.py` and `training/matching_aware.py` explain the keys."""

from t2i_repro.core.choices import STACK_STAGES
from t2i_repro.core.schema import COUNT, WEIGHT, choice
from t2i_repro.models.family import CAPTIONS, SYSTEM_NAME, Family

FAMILY = Family(
    name="stackgan",
    generator="t2i_repro.models.stackgan:build_generator",
    discriminator="t2i_repro.models.stackgan:build_discriminator",
    trainer="t2i_repro.training.matching_aware:MatchingAwareGAN",
    encoders=("char-cnn-rnn",),
    train_options=("optimiser", "halve_every"),
    wrong_images=True,
    required={"captions": CAPTIONS, "stage": choice(STACK_STAGES), "width": COUNT, "kl": WEIGHT},
    optional={
        "after": SYSTEM_NAME,
        "latent": COUNT | {"default": 100},
        "condition": COUNT | {"default": 128},
        "residuals": COUNT | {"default": 4},
    },
)
