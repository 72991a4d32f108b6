"""Training of the DAMSM, the text and image encoders of AttnGAN."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.prepared import Prepared
from t2i_repro.losses.matching import damsm_loss
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.encoders.loading import build_text_encoder, input_backbone
from t2i_repro.models.state import pick_device, save_torch
from t2i_repro.training.encoder_training import (
    finds_own_image,
    held_out_batches,
    renew_adam,
    retrieval_accuracy,
    retrieval_facts,
)
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.schedules import damsm_rate
from t2i_repro.training.trainable import Trainable

BETAS = (0.5, 0.999)


class DamsmTraining(Trainable):
    """The DAMSM as pre-trained by AttnGAN's code: a new Adam every epoch, whose rate decays to a tenth."""

    def __init__(
        self,
        spec: dict[str, Any],
        text_encoder: DamsmTextEncoder,
        image_encoder: DamsmImageEncoder,
        steps_per_epoch: int,
        device: torch.device,
    ) -> None:
        self.spec, self.steps_per_epoch, self.device = spec, steps_per_epoch, device
        self.text_encoder, self.image_encoder = text_encoder.to(device).train(), image_encoder.to(device).train()
        learning = [*self.text_encoder.parameters(), *self.image_encoder.head_parameters()]
        self._optimisers: dict[str, Optimizer] = {"encoders": Adam(learning, spec["lr"], BETAS)}

    def modules(self) -> dict[str, nn.Module]:
        return {"text_encoder": self.text_encoder, "image_encoder": self.image_encoder}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        optimiser, spec = self._optimisers["encoders"], self.spec
        epoch, index = divmod(step, self.steps_per_epoch)
        if index == 0:
            renew_adam(optimiser, damsm_rate(epoch, spec["lr"], spec["decay"]))
        words, sentence = self.text_encoder(batch.tokens, batch.lengths)
        regions, embedding = self.image_encoder(batch.images)
        gammas = (spec["gamma1"], spec["gamma2"], spec["gamma3"])
        loss = damsm_loss(regions, embedding, words, sentence, batch.lengths, batch.class_ids, *gammas)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(self.text_encoder.parameters(), spec["clip"])
        optimiser.step()
        terms = {"w0": loss.w0, "w1": loss.w1, "s0": loss.s0, "s1": loss.s1}
        return {name: value.detach() for name, value in {"loss": loss.total, **terms}.items()}

    def retrieval(self, batches: Batches) -> float:
        """Share of captions whose own image is the most similar (cosine, Eq. 12) of those in their batch."""

        def hits(batch: Batch) -> Tensor:
            _, sentence = self.text_encoder(batch.tokens, batch.lengths)
            return finds_own_image(self.image_encoder(batch.images)[1], sentence)

        return retrieval_accuracy(batches, self.device, hits, self.text_encoder, self.image_encoder)


def run_damsm(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Write ``text_encoder.pt`` and ``image_encoder.pt``, and record how well they retrieve test images by caption."""
    spec, device = node.spec, pick_device()
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])
    trunk, options = input_backbone(build.input("trunk"))
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    text_encoder = build_text_encoder(spec, len(prepared.vocabulary))
    image_encoder = DamsmImageEncoder(trunk, spec["dim"], spec["batch_norm"])
    system = DamsmTraining(spec, text_encoder, image_encoder, batches.steps_per_epoch, device)
    build.facts["trunk"] = options
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    held_out = held_out_batches(prepared, spec, spec["words"])
    build.facts["retrieval"] = retrieval_facts(system.retrieval(held_out), held_out.size)
    save_torch(out / "text_encoder.pt", text_encoder.state_dict())
    save_torch(out / "image_encoder.pt", image_encoder.state_dict())
