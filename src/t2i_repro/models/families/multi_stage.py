"""StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN and ICSD-GAN; `models/multi_stage.py`,
`models/stage_discriminators.py` and `training/multi_stage.py` explain the keys."""

from t2i_repro.models.family import CAPTIONS, COUNT, GAMMAS, SWITCH, WEIGHT, Family, Schema, keys

HEADS: Schema = {
    "type": "array",
    "items": {
        "enum": ["unconditional", "conditional", "conditional-mean-word", "conditional-code", "similarity"],
    },
}
FUSIONS = ["none", "concatenation", "attention", "dynamic-memory", "spatial-memory", "attention-modulation"]
STAGE = keys(
    {"heads": HEADS},
    {
        "initial": keys({"kind": {"enum": ["sentence", "n-gram"]}}, {"ngram": COUNT}),
        "fusion": keys({"kind": {"enum": FUSIONS}}, {"heads": COUNT, "grid": COUNT, "kernel": COUNT, "blocks": COUNT}),
        "text": {"enum": ["words", "sentence"]},
        "unused_heads": HEADS,
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
    required={
        "width": COUNT,
        "noise": COUNT,
        "condition": COUNT,
        "residual": {"type": "integer", "minimum": 0},
        "kl": WEIGHT,
        "adversarial": keys(
            {
                "form": {"enum": ["averaged", "summed", "plain", "half"]},
                "pairing": {"enum": ["shift", "other-class"]},
            }
        ),
        "discriminator": keys(
            {
                "width": COUNT,
                "normalisation": {"enum": ["batch", "spectral"]},
                "init": {"enum": ["orthogonal", "torch"]},
            },
            {"common": COUNT},
        ),
        "stages": {"type": "array", "minItems": 1, "items": STAGE},
    },
    optional={
        "captions": CAPTIONS,
        "similarity": WEIGHT,
        "redundancy": WEIGHT,
        "distillation": {"type": "array", "items": STAGE_PAIR},
        "gammas": keys({}, GAMMAS),
        "switches": keys({}, dict.fromkeys(("gate", "mean_word", "damsm_root", "itm_gamma"), SWITCH)),
        "compat": keys(
            {},
            {
                "attention_mask": {"enum": ["right", "released"]},
                "spectral_norm": {"enum": ["training", "released"]},
                "itm_positions": {"enum": ["right", "released"]},
            },
        ),
    },
)
