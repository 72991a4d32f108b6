"""StackGAN++, AttnGAN, DM-GAN, GR-GAN, MSMT-GAN, MS-GAN and ICSD-GAN as the loop trains them."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch
from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.multi_stage import MultiStageGenerator
from t2i_repro.models.stage_discriminators import StageDiscriminator
from t2i_repro.training.gan import GAN, OPTIMISERS, Parts, averages_of
from t2i_repro.training.multi_stage_step import Recipe, multi_stage_step


class MultiStageGAN(GAN):
    """A list of stages, with an optimiser for the generator and one for the discriminator of each stage.

    The text encoder and the image encoder of the matching losses are frozen, in eval mode.
    """

    def __init__(self, parts: Parts) -> None:
        spec, self.text, self.device, self._preview = parts.spec, parts.text, parts.device, parts.preview
        system = spec["system"]
        self.recipe = Recipe.of(system)
        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        generator = build_generator(system, spec["image_size"], spec["base_size"], self.text.dim)
        self.discriminators = cast(nn.ModuleList, build_discriminator(system, spec["image_size"], self.text.dim))
        self.generator: MultiStageGenerator = cast(MultiStageGenerator, generator.to(self.device))
        self.discriminators.to(self.device)
        self.text.encoder.requires_grad_(False).eval()
        self.image_encoder = self.text.image_encoder() if self.recipe.looks_at_images else None
        if self.image_encoder is None and self.recipe.looks_at_images:
            raise ReproError(f"stages.matching: encoder {system['encoder']} has no image side; set the weights to 0")
        if self.image_encoder is not None:
            self.image_encoder.to(self.device).requires_grad_(False).eval()
        make, betas = OPTIMISERS[spec.get("optimiser", "adam")], tuple(spec["betas"])
        self._optimisers: dict[str, Optimizer] = {"generator": make(generator.parameters(), spec["lr_g"], betas)}
        for stage, network in enumerate(self.discriminators):
            self._optimisers[f"discriminator_{stage}"] = make(network.parameters(), spec["lr_d"], betas)
        self._averages = averages_of(self.generator, spec)

    def modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminators": self.discriminators}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        players = cast(list[StageDiscriminator], list(self.discriminators))
        return multi_stage_step(
            self.generator,
            players,
            self._optimisers["generator"],
            [self._optimisers[f"discriminator_{stage}"] for stage in range(len(players))],
            batch.images,
            self.generator.draw_noise(len(batch.images), self.device),
            self.text.of_batch(batch),
            self.recipe,
            self.image_encoder,
            batch.class_ids,
        )
