"""StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN and ICSD-GAN; `models/multi_stage.py`,
`models/stage_discriminators.py` and `training/multi_stage.py` explain the keys."""

from t2i_repro.core.choices import (
    ADVERSARIAL_FORMS,
    FUSIONS,
    HEADS,
    INITIALS,
    INITS,
    ITERATIONS,
    LOSS_SWITCHES,
    MASK_FORMS,
    NORMALISATIONS,
    PAIRINGS,
    POSITION_FORMS,
    ROLES,
)
from t2i_repro.core.schema import COUNT, GAMMAS, SWITCH, WEIGHT, Schema, choice, keys
from t2i_repro.models.family import CAPTIONS, Family

HEAD_LIST: Schema = {"type": "array", "items": choice(HEADS)}
STAGE = keys(
    {"heads": HEAD_LIST},
    {
        "initial": keys({"kind": choice(INITIALS)}, {"ngram": COUNT}),
        "fusion": keys({"kind": choice(FUSIONS)}, {"heads": COUNT, "grid": COUNT, "kernel": COUNT, "blocks": COUNT}),
        "text": choice(ROLES),
        "unused_heads": HEAD_LIST,
        "matching": keys({}, {"sentence": WEIGHT, "word": WEIGHT}),
    },
)
STAGE_PAIR: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2}

FAMILY = Family(
    name="multi-stage",
    generator="t2i_repro.models.multi_stage:build_generator",
    discriminator="t2i_repro.models.stage_discriminators:build_discriminator",
    released_discriminator="t2i_repro.models.stage_discriminators:build_released_discriminator",
    trainer="t2i_repro.training.multi_stage:MultiStageGAN",
    train_options=("optimiser",),
    required={
        "width": COUNT,
        "noise": COUNT,
        "condition": COUNT,
        "residual": {"type": "integer", "minimum": 0},
        "kl": WEIGHT,
        "adversarial": keys({"form": choice(ADVERSARIAL_FORMS), "pairing": choice(PAIRINGS)}),
        "discriminator": keys(
            {"width": COUNT, "normalisation": choice(NORMALISATIONS), "init": choice(INITS)}, {"common": COUNT}
        ),
        "stages": {"type": "array", "minItems": 1, "items": STAGE},
    },
    optional={
        "captions": CAPTIONS,
        "similarity": WEIGHT,
        "redundancy": WEIGHT,
        "distillation": {"type": "array", "items": STAGE_PAIR},
        "gammas": keys(GAMMAS),
        "switches": keys({}, dict.fromkeys(("gate", *LOSS_SWITCHES), SWITCH)),
        "compat": keys(
            {},
            {
                "attention_mask": choice(MASK_FORMS),
                "spectral_norm": choice(ITERATIONS),
                "itm_positions": choice(POSITION_FORMS),
            },
        ),
    },
)
