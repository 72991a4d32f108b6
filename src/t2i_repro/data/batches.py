"""Training batches, each a function of (seed, step) alone."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from t2i_repro.core.digest import derive_seed
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError


@dataclass
class Batch:
    """B images with one caption each, sorted by caption length in descending order, as packed sequences require."""

    images: Tensor  # float32 [B, 3, S, S] in [-1, 1]; [B, 3, 0, 0] without images
    tokens: Tensor  # int64 [B, T], T the longest caption here, 0 = padding
    lengths: Tensor  # int64 [B], 1 .. T
    class_ids: Tensor  # int64 [B]
    image_index: Tensor  # int64 [B], index in the prepared data
    caption_index: Tensor  # int64 [B], index of the caption in the prepared data

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        moved = {entry.name: getattr(self, entry.name).to(device, non_blocking=True) for entry in fields(self)}
        return type(self)(**moved)


class Batches:
    """Random access to the batches of a split.

    An epoch is a permutation of the split without its incomplete last batch. Each image gets a random crop, a flip with
    probability 1/2 and one of *its own* captions; of a caption with more than ``words`` words, a new random ordered
    subset of ``words`` words is drawn each time (AttnGAN and its descendants).

    If ``image_size`` differs from that of the prepared data, crops are resized (bilinear, antialiased), as the
    multi-stage papers do for their smaller images. Raises ReproError when the split has fewer images than a batch.
    """

    def __init__(
        self, prepared: Prepared, split: str, image_size: int, batch: int, words: int, seed: int, images: bool = True
    ) -> None:
        self.prepared, self.split, self.image_size = prepared, split, image_size
        self.size, self.words, self.seed, self.images = batch, words, seed, images
        self._members = prepared.splits[split]
        self.steps_per_epoch = len(self._members) // batch
        if self.steps_per_epoch == 0:
            raise ReproError(
                f"{prepared.folder}: split {split} has {len(self._members)} images, fewer than a batch of {batch}; "
                f"lower `batch` of this training in params.yaml or papers/, or give more images"
            )
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, self._members)

    def batch(self, step: int) -> Batch:
        """Batch ``step``, counted from 0 through all epochs. Equal on every call."""
        epoch, index_in_epoch = divmod(step, self.steps_per_epoch)
        index = self._permutation(epoch)[index_in_epoch * self.size : (index_in_epoch + 1) * self.size]
        draw = np.random.default_rng(derive_seed(self.seed, self.split, "batch", step))
        position = draw.random((4, self.size))
        first = self.prepared.caption_start[index]
        captions = first + (position[0] * (self.prepared.caption_start[index + 1] - first)).astype(np.int64)
        lengths = np.minimum(self.prepared.caption_lengths[captions], self.words)
        order = np.argsort(-lengths, kind="stable")
        index, captions, lengths, position = index[order], captions[order], lengths[order], position[:, order]
        return Batch(
            images=self._images(index, position[1], position[2], position[3] < 0.5),
            tokens=torch.from_numpy(self._tokens(captions, lengths, draw)),
            lengths=torch.from_numpy(lengths),
            class_ids=torch.from_numpy(self.prepared.class_ids[index]),
            image_index=torch.from_numpy(index),
            caption_index=torch.from_numpy(captions),
        )

    def _permutation(self, epoch: int) -> npt.NDArray[np.int64]:
        known, order = self._order
        if known != epoch:
            draw = np.random.default_rng(derive_seed(self.seed, self.split, "epoch", epoch))
            order = draw.permutation(self._members)
            self._order = (epoch, order)  # one assignment: a prefetching thread may read it at the same time
        return order

    def _tokens(
        self, captions: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], draw: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        tokens = np.zeros((len(captions), int(lengths.max())), dtype=np.int64)
        for row, caption in enumerate(captions):
            words = self.prepared.tokens(int(caption))
            if len(words) > self.words:
                words = words[np.sort(draw.permutation(len(words))[: self.words])]
            tokens[row, : len(words)] = words
        return tokens

    def _images(
        self,
        index: npt.NDArray[np.int64],
        across: npt.NDArray[np.float64],
        down: npt.NDArray[np.float64],
        flip: npt.NDArray[np.bool_],
    ) -> Tensor:
        if not self.images:
            return torch.empty(len(index), 3, 0, 0)
        side = self.prepared.image_size
        crops = np.empty((len(index), side, side, 3), dtype=np.uint8)
        for row, image in enumerate(index):
            pixels = self.prepared.pixels(int(image))
            height, width = pixels.shape[:2]
            top, left = int(down[row] * (height - side + 1)), int(across[row] * (width - side + 1))
            crop = pixels[top : top + side, left : left + side]
            crops[row] = crop[:, ::-1] if flip[row] else crop
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        if self.image_size != side:
            size = (self.image_size, self.image_size)
            images = interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        return images.div_(127.5).sub_(1)


def prefetch(batches: Batches, start: int, stop: int, ahead: int = 2) -> Iterator[Batch]:
    """Batches ``start`` .. ``stop - 1``, computed by one thread up to ``ahead`` steps in advance.

    An error in the thread is raised here; closing the generator ends the thread.
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(ahead)
    ended = threading.Event()

    def put(item: Batch | BaseException) -> None:
        while not ended.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in range(start, stop):
                if ended.is_set():
                    return
                put(batches.batch(step))
        except BaseException as error:  # passed to the consumer, which raises it
            put(error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        thread.join()
