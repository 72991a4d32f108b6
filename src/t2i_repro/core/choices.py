"""Allowed values of keys: schemas and the code that reads the keys take them from here. Needs no torch."""

from collections.abc import Collection
from typing import Literal, get_args

from t2i_repro.errors import ReproError

Form = Literal["code", "printed"]
"""The two values of a divergence switch: what the released code does, or what the paper prints."""
FORMS: tuple[Form, ...] = get_args(Form)

SPLITS = ("train", "test")
OPTIMISERS = ("adam", "adamax")  # of generators and discriminators (training/gan.py)

# Losses of the multi-stage systems (losses/adversarial.py, training/multi_stage.py).
AdversarialForm = Literal["averaged", "summed", "plain", "half"]
ADVERSARIAL_FORMS: tuple[AdversarialForm, ...] = get_args(AdversarialForm)
PAIRINGS = ("shift", "other-class")
LOSS_SWITCHES = ("mean_word", "damsm_root", "itm_gamma")

# Networks of the multi-stage systems (models/multi_stage.py, fusion.py, stage_discriminators.py).
INITIALS = ("sentence", "n-gram")
FUSIONS = ("none", "concatenation", "attention", "dynamic-memory", "spatial-memory", "attention-modulation")
ROLES = ("words", "sentence")
CONDITIONS = {"conditional": "sentence", "conditional-mean-word": "mean-word", "conditional-code": "code"}
HEADS = ("unconditional", *CONDITIONS, "similarity")
NORMALISATIONS = ("batch", "spectral")
INITS = ("orthogonal", "torch")
MaskForm = Literal["right", "released"]
MASK_FORMS: tuple[MaskForm, ...] = get_args(MaskForm)
PositionForm = Literal["right", "released"]
POSITION_FORMS: tuple[PositionForm, ...] = get_args(PositionForm)
Iteration = Literal["training", "released"]
ITERATIONS: tuple[Iteration, ...] = get_args(Iteration)

# One-stage systems (models/one_stage.py, training/one_stage.py).
BlockKind = Literal["affine", "semantic-spatial"]
BLOCKS: tuple[BlockKind, ...] = get_args(BlockKind)
TEXT_MODES = ("frozen", "tuned")
GENERATOR_SWITCHES = ("modulation", "upsampling", "mask_source")

# HDGAN (models/nested.py) and StackGAN (models/stackgan.py).
ImageLoss = Literal["none", "global", "local"]
IMAGE_LOSSES: tuple[ImageLoss, ...] = get_args(ImageLoss)
STACK_STAGES = (1, 2)

# Which of an image's sentence embeddings is read (data/char_embeddings.py): in training, and to sample from.
Choice = Literal["mean-of-4", "random", "first"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
TEST_CHOICES = ("random", "first")

BatchNormMode = Literal["frozen", "batch"]
BATCH_NORM_MODES: tuple[BatchNormMode, ...] = get_args(BatchNormMode)


def check_choice(field: str, value: object, allowed: Collection[object]) -> None:
    """Raise ReproError naming ``field`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        names = ", ".join(repr(choice) for choice in allowed)
        raise ReproError(f"{field}: found {value!r}, expected one of {names}")
