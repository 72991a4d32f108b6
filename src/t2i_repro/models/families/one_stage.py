"""DF-GAN (2020) and SSA-GAN; `models/one_stage.py` and `training/one_stage.py` explain the keys."""

from t2i_repro.core.choices import BLOCKS, GENERATOR_SWITCHES, TEXT_MODES
from t2i_repro.core.schema import COUNT, GAMMAS, SWITCH, WEIGHT, choice, keys
from t2i_repro.models.family import Family

SWITCHES = (*GENERATOR_SWITCHES, "ma_gp", "ma_gp_step", "text_tuning", "damsm_root")

FAMILY = Family(
    name="one-stage",
    generator="t2i_repro.models.one_stage:build_generator",
    discriminator="t2i_repro.models.one_stage:build_discriminator",
    released_discriminator="t2i_repro.models.one_stage:build_released_discriminator",
    trainer="t2i_repro.training.one_stage:OneStageGAN",
    encoders=("damsm",),
    train_options=("optimiser",),
    required={
        "block": choice(BLOCKS),
        "width": COUNT,
        "masks": {"type": "integer", "minimum": 0},
        "text": choice(TEXT_MODES),
        "matching": keys({"damsm": WEIGHT, **GAMMAS}),
        "switches": keys(dict.fromkeys(SWITCHES, SWITCH)),
    },
    optional={
        "noise": COUNT | {"default": 100},
        "hidden": COUNT | {"default": 256},
        "mask_hidden": COUNT | {"default": 100},
    },
    constants={
        # lambda_MA and p of SSA-GAN Eq. (6).
        "ma_gp_weight": 2.0,
        "ma_gp_power": 6.0,
        # Adam of the text encoder where `text` is tuned: released fine-tuning code of SSA-GAN; not printed.
        "text_lr": 4.0e-5,
        "text_betas": (0.0, 0.9),
    },
)
