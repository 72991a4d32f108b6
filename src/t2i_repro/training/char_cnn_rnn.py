"""Char-CNN-RNN: its training by the joint embedding of captions and images, and the embeddings that GANs read."""

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
from t2i_repro.core.record import Build, atomic_write
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.char_embeddings import read_char_embeddings
from t2i_repro.data.manifest import content_digest
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.encoders.backbone import Trunk
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters, joint_embedding_loss
from t2i_repro.models.encoders.loading import input_trunk
from t2i_repro.models.state import evaluating, pick_device, reproducible, save_torch
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.trainable import Trainable

WORDS = 18  # this encoder reads characters
SMOOTHING = 0.95  # of RMSprop, as publicly described of the released training
GROUP = 64
RETRIEVAL_BATCHES = 20


class CharCnnRnnTraining(Trainable):
    """Text and image side of the joint embedding; the image side is one linear layer on a frozen trunk's pooled
    features (Reed et al. 2016 take such features as they are, at 1,024 dimensions; a trunk of ours has others).

    ``caption(number)`` is the text of a caption of the batch.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        trunk: Trunk,
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
        places = characters([self.caption(number) for number in batch.caption_index.tolist()])
        return self.project(pooled), self.encoder(places.to(self.device))

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
        right = []
        with evaluating(self.encoder, self.project):
            for step in range(min(batches.steps_per_epoch, RETRIEVAL_BATCHES)):
                batch = batches.batch(step).to(self.device)
                images, captions = self.embed(batch)
                best = batch.class_ids[(captions @ images.T).argmax(1)]
                right.append((best == batch.class_ids).float().mean().item())
        return float(np.mean(right))


def run_char_cnn_rnn(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Train on the training split; write ``encoder.pt`` and ``embeddings.npy``, float32 [C, dim]: one row for every
    caption of either split, so that no GAN computes them again; the latter alone where they were published."""
    spec = node.spec
    if "published" in spec:
        take_published(Path(node.locations["embeddings"]), spec, out, prepared)
        build.facts["trunk"] = {"kind": "published"}
        return
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], WORDS, spec["seed"])
    trunk, how = input_trunk(build.input("trunk"))
    system = CharCnnRnnTraining(spec, trunk, prepared.caption, batches.steps_per_epoch, pick_device())
    build.facts["trunk"] = how
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    size = min(spec["batch"], len(prepared.splits["test"]))
    held_out = Batches(prepared, "test", spec["image_size"], size, WORDS, spec["seed"])
    build.facts["retrieval"] = {"accuracy": round(system.retrieval(held_out), 4), "of": size}
    save_torch(out / "encoder.pt", system.encoder.state_dict())
    with reproducible():
        write_embeddings(out / "embeddings.npy", system.encoder, prepared, system.device)


def take_published(folder: Path, spec: dict[str, Any], out: Path, prepared: Prepared) -> None:
    """Write ``embeddings.npy`` from the published files in ``train`` and ``test`` of ``folder``, in the order of the
    captions of ``prepared``. Raises ReproError where they changed since the plan or are of other captions."""
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
            numbers = prepared.caption_ids(int(image))
            if len(vectors) != len(numbers):
                raise ReproError(
                    f"{folder / split}: {len(vectors)} embeddings of {prepared.image_ids[image]}, which has "
                    f"{len(numbers)} captions in {prepared.folder}; these are not the captions that were embedded"
                )
            rows[numbers.start : numbers.stop] = vectors
    with atomic_write(out / "embeddings.npy") as file:
        np.save(file, rows)


def embed_texts(encoder: CharCnnRnn, texts: list[str], device: torch.device) -> np.ndarray[Any, Any]:
    """Embeddings float32 [B, dim] of up to ``GROUP`` texts, computed at that size always, so that a text's bits do
    not depend on its companions."""
    rows = characters([*texts, *[""] * (GROUP - len(texts))]).to(device)
    with evaluating(encoder):
        return encoder(rows)[: len(texts)].float().cpu().numpy()


def write_embeddings(path: Path, encoder: CharCnnRnn, prepared: Prepared, device: torch.device) -> None:
    count = len(prepared.caption_image)
    with atomic_write(path) as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, encoder.dim)}
        np.lib.format.write_array_header_1_0(file, header)
        with tqdm(total=count, desc="embeddings", unit="caption", disable=None) as bar:
            for start in range(0, count, GROUP):
                numbers = range(start, min(start + GROUP, count))
                file.write(embed_texts(encoder, [prepared.caption(c) for c in numbers], device).tobytes())
                bar.update(len(numbers))
