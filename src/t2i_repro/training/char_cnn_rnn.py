"""Training of the char-CNN-RNN by the joint embedding of captions and images, and the embeddings that GANs read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.npy import npy_writer
from t2i_repro.core.record import Build
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.char_embeddings import read_char_embeddings
from t2i_repro.data.manifest import content_digest
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import joint_embedding_loss
from t2i_repro.models.encoders.backbone import Backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters
from t2i_repro.models.encoders.loading import GROUP, embed_texts, input_backbone
from t2i_repro.models.state import pick_device, reproducible, save_torch
from t2i_repro.training.encoder_training import held_out_batches, retrieval_accuracy
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.trainable import Trainable

WORDS = 18  # for the batches; this encoder reads characters
SMOOTHING = 0.95  # of RMSprop, as publicly described of the released training


class CharCnnRnnTraining(Trainable):
    """Text and image encoder of the joint embedding. The image encoder is one linear layer on the pooled features of a
    frozen backbone (Reed et al. 2016 use such features directly, at 1,024 dimensions; our backbones have others).

    ``caption(index)`` is the text of a caption of the batch.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        trunk: Backbone,
        caption: Callable[[int], str],
        steps_per_epoch: int,
        device: torch.device,
    ) -> None:
        self.spec, self.caption, self.steps_per_epoch, self.device = spec, caption, steps_per_epoch, device
        torch.manual_seed(derive_seed(spec["seed"], "weights"))
        self.encoder = CharCnnRnn(spec["dim"], spec["width"]).to(device)
        self.project = nn.Linear(trunk.pooled_channels, spec["dim"]).to(device)
        self.trunk = trunk.to(device).requires_grad_(False).eval()
        learning = [*self.encoder.parameters(), *self.project.parameters()]
        self._optimisers: dict[str, Optimizer] = {"encoders": RMSprop(learning, spec["lr"], SMOOTHING)}

    def modules(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "project": self.project}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def embed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Images and captions of a batch, each [B, dim]."""
        with torch.no_grad():
            pooled = self.trunk(batch.images)[1]
        symbols = characters([self.caption(index) for index in batch.caption_index.tolist()])
        return self.project(pooled), self.encoder(symbols.to(self.device))

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        optimiser, epoch = self._optimisers["encoders"], step // self.steps_per_epoch
        optimiser.param_groups[0]["lr"] = self.spec["lr"] * self.spec["decay"] ** epoch
        images, captions = self.embed(batch)
        loss = joint_embedding_loss(images, captions, batch.class_ids, self.spec["form"])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return {"loss": loss.detach()}

    def retrieval(self, batches: Batches) -> float:
        """Share of captions that score an image of their own class highest among those of their batch."""

        def hits(batch: Batch) -> Tensor:
            images, captions = self.embed(batch)
            return batch.class_ids[(captions @ images.T).argmax(1)] == batch.class_ids

        return retrieval_accuracy(batches, self.device, hits, self.encoder, self.project)


def run_char_cnn_rnn(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Train on the training split; write ``encoder.pt`` and ``embeddings.npy``, float32 [C, dim].

    The embeddings have one row for every caption of either split, so that no GAN computes them again. If they were
    published there is no ``encoder.pt``.
    """
    spec = node.spec
    if "published" in spec:
        copy_published(Path(node.locations["embeddings"]), spec, out, prepared)
        build.facts["trunk"] = {"kind": "published"}
        return
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], WORDS, spec["seed"])
    trunk, options = input_backbone(build.input("trunk"))
    system = CharCnnRnnTraining(spec, trunk, prepared.caption, batches.steps_per_epoch, pick_device())
    build.facts["trunk"] = options
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    held_out = held_out_batches(prepared, spec, WORDS)
    build.facts["retrieval"] = {"accuracy": round(system.retrieval(held_out), 4), "of": held_out.size}
    save_torch(out / "encoder.pt", system.encoder.state_dict())
    with reproducible():
        write_embeddings(out / "embeddings.npy", system.encoder, prepared, system.device)


def copy_published(folder: Path, spec: dict[str, Any], out: Path, prepared: Prepared) -> None:
    """Write ``embeddings.npy`` from the published files in ``train`` and ``test`` of ``folder``, in the order of the
    captions of ``prepared``. Raises ReproError if they changed since the plan or are of other captions."""
    found = content_digest(folder, suffixes=(".pickle",))
    if found != spec["published"]:
        raise ReproError(f"{folder}: files changed since the plan (found {found[:10]}); plan again")
    rows = np.zeros((len(prepared.caption_image), spec["dim"]), np.float32)
    for split, members in prepared.splits.items():
        published = read_char_embeddings(folder / split)
        if published.dim != spec["dim"]:
            raise ReproError(
                f"{folder / split}: embeddings of {published.dim}, expected char_cnn_rnn.dim {spec['dim']}"
            )
        for image, vectors in zip(members, published.of_images([prepared.image_ids[i] for i in members]), strict=True):
            captions = prepared.caption_ids(int(image))
            if len(vectors) != len(captions):
                raise ReproError(
                    f"{folder / split}: {len(vectors)} embeddings of {prepared.image_ids[image]}, which has "
                    f"{len(captions)} captions in {prepared.folder}; these are not the captions that were embedded"
                )
            rows[captions.start : captions.stop] = vectors
    with npy_writer(out / "embeddings.npy", len(rows)) as writer:
        writer.write(rows)


def write_embeddings(path: Path, encoder: CharCnnRnn, prepared: Prepared, device: torch.device) -> None:
    """Write the embedding of every caption of a dataset, float32 [C, dim]."""
    count = len(prepared.caption_image)
    with npy_writer(path, count) as writer, tqdm(total=count, desc="embeddings", unit="caption", disable=None) as bar:
        for start in range(0, count, GROUP):
            captions = range(start, min(start + GROUP, count))
            writer.write(embed_texts(encoder, [prepared.caption(index) for index in captions], device))
            bar.update(len(captions))
