"""From a system's description (``papers/*.yaml``, resolved) to its networks, and what they weigh."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from t2i_repro.errors import ReproError
from t2i_repro.models.discriminators import OneWayDiscriminator
from t2i_repro.models.encoders.backbone import TrunkKind, build_trunk
from t2i_repro.models.encoders.damsm_image import ImageEncoder
from t2i_repro.models.encoders.damsm_text import TextEncoder
from t2i_repro.models.multi_stage import MultiStageGenerator
from t2i_repro.models.one_stage import OneStageGenerator
from t2i_repro.models.sentence_systems import DISCRIMINATORS as SENTENCE_DISCRIMINATORS
from t2i_repro.models.sentence_systems import GENERATORS as SENTENCE_GENERATORS
from t2i_repro.models.stage_discriminators import build_stage_discriminators

System = Mapping[str, Any]
GENERATOR_SWITCHES = ("modulation", "upsampling", "mask_source")
GENERATOR_SIZES = ("noise", "hidden", "mask_hidden")


def _one_stage_generator(system: System, image_size: int, base_size: int, text: int) -> nn.Module:
    switches = {name: value for name, value in system.get("switches", {}).items() if name in GENERATOR_SWITCHES}
    sizes = {name: system[name] for name in GENERATOR_SIZES if name in system}
    return OneStageGenerator(
        block=system["block"],
        width=system["width"],
        masks=system.get("masks"),
        image_size=image_size,
        base_size=base_size,
        text=text,
        **sizes,
        **switches,
    )


def _one_way_discriminator(system: System, image_size: int, text: int, as_released: bool) -> nn.Module:
    return OneWayDiscriminator(system["width"], image_size, text=text, dead_shortcuts=as_released)


def _stage_discriminators(system: System, image_size: int, text: int, as_released: bool) -> nn.Module:
    return build_stage_discriminators(system, image_size, text, as_released=as_released)


GENERATORS: dict[str, Callable[[System, int, int, int], nn.Module]] = {
    "one-stage": _one_stage_generator,
    "multi-stage": MultiStageGenerator,
    **SENTENCE_GENERATORS,
}
DISCRIMINATORS: dict[str, Callable[[System, int, int, bool], nn.Module]] = {
    "one-stage": _one_way_discriminator,
    "multi-stage": _stage_discriminators,
    **SENTENCE_DISCRIMINATORS,
}


def _kind(system: System, known: Mapping[str, object]) -> str:
    kind = system.get("kind")
    if kind not in known:
        raise ReproError(f"system.kind: found {kind!r}, expected one of {', '.join(map(repr, known))}")
    return str(kind)


def build_generator(system: System, image_size: int = 256, base_size: int = 4, text: int = 256) -> nn.Module:
    """The generator of ``system`` with fresh weights from torch's default random stream.

    Keys read for kind one-stage: block, width, [masks], [switches.modulation, upsampling, mask_source] and,
    to shrink it, [noise, hidden, mask_hidden]. ``text`` is the length of the sentence vector.
    """
    return GENERATORS[_kind(system, GENERATORS)](system, image_size, base_size, text)


def build_discriminator(
    system: System, image_size: int = 256, text: int = 256, *, as_released: bool = False
) -> nn.Module:
    """The discriminator of ``system``; ``as_released`` adds the parameters the released code never uses."""
    return DISCRIMINATORS[_kind(system, DISCRIMINATORS)](system, image_size, text, as_released)


def count_parameters(network: nn.Module, trainable: bool = False) -> int:
    """Number of parameters; buffers do not count."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not trainable)


def parameter_counts(
    system: System,
    image_size: int = 256,
    base_size: int = 4,
    text: int = 256,
    *,
    vocabulary: int | None = None,
    trunk: TrunkKind | None = None,
    trunk_width: int = 16,
) -> dict[str, int]:
    """Parameters of every network of ``system``, without allocating any.

    ``generator``; ``discriminator`` as the released code counts it, unused parameters included, and
    ``discriminator_used`` without them (what we train); with ``vocabulary``: ``text_encoder``; with
    ``trunk``: ``image_encoder`` and ``image_encoder_trainable``.
    """
    with torch.device("meta"):
        counts = {
            "generator": count_parameters(build_generator(system, image_size, base_size, text)),
            "discriminator": count_parameters(build_discriminator(system, image_size, text, as_released=True)),
            "discriminator_used": count_parameters(build_discriminator(system, image_size, text)),
        }
        if vocabulary is not None:
            counts["text_encoder"] = count_parameters(TextEncoder(vocabulary, hidden=text // 2))
        if trunk is not None:
            encoder = ImageEncoder(build_trunk(trunk, trunk_width), text)
            counts["image_encoder"] = count_parameters(encoder)
            counts["image_encoder_trainable"] = count_parameters(encoder, trainable=True)
    return counts
