"""DF-GAN (2020) and SSA-GAN as the loop trains them: networks, optimisers and what happens with the text encoder."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from t2i_repro.core.choices import check_choice
from t2i_repro.core.digest import derive_seed
from t2i_repro.data.batches import Batch
from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import DamsmLoss, damsm_loss
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.discriminators import OneWayDiscriminator
from t2i_repro.models.encoders.damsm_image import ImageEncoder
from t2i_repro.models.encoders.damsm_text import TextEncoder
from t2i_repro.models.one_stage import OneStageGenerator
from t2i_repro.models.state import frozen
from t2i_repro.training.gan import GAN, Parts, Preview, averages_of
from t2i_repro.training.one_stage_step import Penalty, one_stage_step

# Released fine-tuning code of SSA-GAN; not printed.
TEXT_LEARNING_RATE, TEXT_BETAS = 4.0e-5, (0.0, 0.9)


class OneStageGAN(GAN):
    """A one-stage system from the spec of a ``train`` node and the encoders of a ``damsm`` one.

    ``system.text``:
    ``frozen``: the text encoder stays in eval mode.
    ``tuned``: it trains too, dropout active, as ``switches.text_tuning`` says.
      ``code``: G and D see its output detached; it learns from the DAMSM loss on *real* images alone, with the image
      encoder's two projections, in an optimiser of their own.
      ``printed`` (Sec. 3.1, "jointly"): the generator's loss reaches it through the sentence and the words.

    ``image_encoder`` may be None where neither a DAMSM term nor tuning as released asks for it.
    ``preview(generator)`` draws the grid.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        text_encoder: TextEncoder,
        image_encoder: ImageEncoder | None,
        device: torch.device,
        preview: Preview | None = None,
    ) -> None:
        system, switches = spec["system"], spec["system"]["switches"]
        check_choice("system.text", system["text"], ("frozen", "tuned"))
        check_choice("system.switches.text_tuning", switches["text_tuning"], ("code", "printed"))
        self.tuned = switches["text_tuning"] if system["text"] == "tuned" else None
        self.matching, self.root = system["matching"], switches["damsm_root"]
        self.penalty = Penalty(form=switches["ma_gp"], step=switches["ma_gp_step"])
        self.device, self._preview = device, preview
        if image_encoder is None and needs_image_encoder(system):
            raise ReproError("system.matching.damsm, system.text: this system needs the image encoder of a DAMSM")

        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        generator = build_generator(system, spec["image_size"], spec["base_size"], text_encoder.dim)
        discriminator = build_discriminator(system, spec["image_size"], text_encoder.dim)
        self.generator: OneStageGenerator = cast(OneStageGenerator, generator.to(device))
        self.discriminator = cast(OneWayDiscriminator, discriminator.to(device))
        self.text_encoder = text_encoder.to(device).requires_grad_(self.tuned is not None)
        self.text_encoder.train(self.tuned is not None)
        self.image_encoder = None if image_encoder is None else image_encoder.to(device)
        betas = tuple(spec["betas"])
        self._optimisers: dict[str, Optimizer] = {
            "generator": Adam(self.generator.parameters(), spec["lr_g"], betas),
            "discriminator": Adam(self.discriminator.parameters(), spec["lr_d"], betas),
        }
        if self.image_encoder is not None:
            self.image_encoder.requires_grad_(False)
            self.image_encoder.train(self.tuned == "code")
        if self.tuned is not None:
            learning = list(self.text_encoder.parameters())
            if self.tuned == "code" and self.image_encoder is not None:
                learning += self.image_encoder.head_parameters()
                for head in self.image_encoder.head_parameters():
                    head.requires_grad_(True)
            self._optimisers["text"] = Adam(learning, TEXT_LEARNING_RATE, TEXT_BETAS)
        self._averages = averages_of(self.generator, spec)

    @classmethod
    def of(cls, parts: Parts) -> "OneStageGAN":
        encoder = parts.text.encoder
        assert isinstance(encoder, TextEncoder)
        image_encoder = parts.text.image_encoder() if needs_image_encoder(parts.spec["system"]) else None
        return cls(parts.spec, encoder, cast(ImageEncoder | None, image_encoder), parts.device, parts.preview)

    def modules(self) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        if self.tuned is not None:
            found["text_encoder"] = self.text_encoder
        if self.tuned == "code" and self.image_encoder is not None:
            found["image_encoder"] = self.image_encoder
        return found

    def weights(self) -> dict[str, dict[str, Tensor]]:
        tuned = {} if self.tuned is None else {"text_encoder": self.text_encoder.state_dict()}
        return {**super().weights(), **tuned}

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        noise = self.generator.draw_noise(len(batch.images), self.device)
        with torch.set_grad_enabled(self.tuned is not None):
            words, sentence = self.text_encoder(batch.tokens, batch.lengths)
        joint = self.tuned == "printed"
        seen = (words, sentence) if joint else (words.detach(), sentence.detach())
        losses = one_stage_step(
            self.generator,
            self.discriminator,
            self._optimisers["generator"],
            self._optimisers["discriminator"],
            batch.images,
            noise,
            seen[1],
            self.penalty,
            extra=lambda fake: self.matching_terms(fake, *seen, batch),
            text_optimiser=self._optimisers["text"] if joint else None,
        )
        if self.tuned == "code":
            losses["text_damsm"] = self.tune_text(words, sentence, batch)
        return losses

    def damsm(self, images: Tensor, words: Tensor, sentence: Tensor, batch: Batch) -> DamsmLoss:
        assert self.image_encoder is not None
        gammas = (self.matching["gamma1"], self.matching["gamma2"], self.matching["gamma3"])
        regions, code = self.image_encoder(images)
        return damsm_loss(regions, code, words, sentence, batch.lengths, batch.class_ids, *gammas, self.root)

    def matching_terms(self, fake: Tensor, words: Tensor, sentence: Tensor, batch: Batch) -> dict[str, Tensor]:
        """lambda_DA * L_DAMSM of SSA-GAN Eq. (7), on generated images; the image encoder learns nothing from it."""
        if self.matching["damsm"] == 0:
            return {}
        assert self.image_encoder is not None
        with frozen(self.image_encoder):
            loss = self.damsm(fake, words, sentence, batch).total
        return {"g_damsm": self.matching["damsm"] * loss}

    def tune_text(self, words: Tensor, sentence: Tensor, batch: Batch) -> Tensor:
        """One step of the text encoder and the image projections on real pairs (released fine-tuning)."""
        loss = self.damsm(batch.images, words, sentence, batch).total
        self._optimisers["text"].zero_grad(set_to_none=True)
        loss.backward()
        self._optimisers["text"].step()
        return loss.detach()


def needs_image_encoder(system: dict[str, Any]) -> bool:
    """Whether a system's training looks at images through the DAMSM."""
    tuned_as_released = system["text"] == "tuned" and system["switches"]["text_tuning"] == "code"
    return system["matching"]["damsm"] != 0 or tuned_as_released
