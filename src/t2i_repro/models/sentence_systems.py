"""From the description of a system on a sentence embedding to its networks; ``models/build.py`` registers them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from t2i_repro.core.choices import check_choice
from t2i_repro.models.gan_int_cls import DcganDiscriminator, DcganGenerator
from t2i_repro.models.nested import SCALES, ExtendedGenerator, NestedGenerator
from t2i_repro.models.nested_discriminators import NestedDiscriminators
from t2i_repro.models.stackgan import StackDiscriminator, StageOneGenerator, StageTwoGenerator

System = Mapping[str, Any]
STAGES = (1, 2)


def _sizes(system: System, *names: str) -> dict[str, int]:
    return {name: system[name] for name in names if name in system}


def _nested_generator(system: System, image_size: int, base_size: int, text: int) -> nn.Module:
    """Keys: width, [scales], [latent, condition], [extension.repeats]. With ``extension``, the base is fresh too:
    load its trained weights into ``.base``."""
    extension = system.get("extension")
    base = NestedGenerator(
        system["width"],
        image_size if extension is None else image_size // 2,
        base_size,
        system.get("scales", SCALES),
        text=text,
        **_sizes(system, "latent", "condition"),
    )
    return base if extension is None else ExtendedGenerator(base, extension["repeats"])


def _nested_discriminators(system: System, image_size: int, text: int, as_released: bool) -> nn.Module:
    """Keys: width, [scales], image_loss, [switches.patches], [condition]."""
    return NestedDiscriminators(
        image_size,
        system.get("scales", SCALES) if system.get("extension") is None else (1,),
        system["image_loss"],
        system.get("switches", {}).get("patches", "code"),
        features=4 * system["width"],
        peak=4 * system["width"],
        text=text,
        **_sizes(system, "condition"),
    )


def _stackgan_generator(system: System, image_size: int, base_size: int, text: int) -> nn.Module:
    """Keys: stage, width, [residuals], [latent, condition]. Stage 2 comes with a fresh Stage-I: load its trained
    weights into ``.stage_one``."""
    check_choice("stage", system["stage"], STAGES)
    size = image_size if system["stage"] == 1 else image_size // 4
    first = StageOneGenerator(system["width"], size, base_size, text=text, **_sizes(system, "latent", "condition"))
    return first if system["stage"] == 1 else StageTwoGenerator(first, system["width"], **_sizes(system, "residuals"))


def _stackgan_discriminator(system: System, image_size: int, text: int, as_released: bool) -> nn.Module:
    """Keys: stage, width (the discriminator has half of it, as released: 64 to 128), [condition]."""
    check_choice("stage", system["stage"], STAGES)
    width = system["width"] // 2
    return StackDiscriminator(width, image_size, system["stage"], text=text, **_sizes(system, "condition"))


def _dcgan_generator(system: System, image_size: int, base_size: int, text: int) -> nn.Module:
    """Keys: width, [latent, condition]."""
    return DcganGenerator(system["width"], image_size, base_size, text=text, **_sizes(system, "latent", "condition"))


def _dcgan_discriminator(system: System, image_size: int, text: int, as_released: bool) -> nn.Module:
    """Keys: width (the discriminator has half of it), [condition]."""
    return DcganDiscriminator(system["width"] // 2, image_size, text=text, **_sizes(system, "condition"))


GENERATORS: dict[str, Callable[[System, int, int, int], nn.Module]] = {
    "nested": _nested_generator,
    "stackgan": _stackgan_generator,
    "gan-int-cls": _dcgan_generator,
}
DISCRIMINATORS: dict[str, Callable[[System, int, int, bool], nn.Module]] = {
    "nested": _nested_discriminators,
    "stackgan": _stackgan_discriminator,
    "gan-int-cls": _dcgan_discriminator,
}
