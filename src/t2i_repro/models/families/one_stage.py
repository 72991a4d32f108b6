"""DF-GAN (2020) and SSA-GAN; `models/one_stage.py` and `training/one_stage.py` explain the keys."""

from t2i_repro.models.family import COUNT, GAMMAS, SWITCH, WEIGHT, Family, keys

SWITCHES = ("modulation", "upsampling", "mask_source", "ma_gp", "ma_gp_step", "text_tuning", "damsm_root")

FAMILY = Family(
    name="one-stage",
    generator="t2i_repro.models.one_stage:build_generator",
    discriminator="t2i_repro.models.one_stage:build_discriminator",
    released_discriminator="t2i_repro.models.one_stage:build_released_discriminator",
    trainer="t2i_repro.training.one_stage:OneStageGAN",
    encoders=("damsm",),
    required={
        "block": {"enum": ["affine", "semantic-spatial"]},
        "width": COUNT,
        "masks": {"type": "integer", "minimum": 0},
        "text": {"enum": ["frozen", "tuned"]},
        "matching": keys({"damsm": WEIGHT, **GAMMAS}),
        "switches": keys(dict.fromkeys(SWITCHES, SWITCH)),
    },
)
