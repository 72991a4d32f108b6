"""Verb `embed`: features of every image, or of every caption, by one network, once for all metrics.

Writes ``pooled.npy`` float32 [N, d]; ``origin.npy`` int64 [N, 3], the image, caption and class that row i belongs to
(-1: none); and of images by a classifier ``probabilities.npy`` float32 [N, K] (softmax).
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import digest
from t2i_repro.core.npy import NpyWriter, npy_writer
from t2i_repro.core.record import Build, atomic_write
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.extractors import FeatureExtractor, open_extractor
from t2i_repro.metrics.images import Images, indices_of, open_images
from t2i_repro.models.state import pick_device

CHUNK = 16  # images per forward pass, always: kernels chosen by batch size would change the last digits
CAPTIONS = 256  # captions per forward pass


def run(node: Node, out: Path, build: Build) -> None:
    """Embed input `images` (a sample, or the split of prepared data), or with ``captions`` the captions of a split,
    with input `network`. Facts: network, its SHA-256, standin, n, image_size, and the digest of the content."""
    spec = node.spec
    network = open_extractor(build.input("network"), pick_device(), spec.get("preparation", "unit"))
    if network.standin and not spec["standin"]:
        raise ReproError(
            f"{build.input('network')}: is a stand-in; the spec of {node.name} says that it is not. Run "
            f"`python -m t2i_repro plan` again."
        )
    facts = {
        "network": network.name,
        "network_sha256": network.sha256,
        "network_trained_by_us": network.trained_by_us,
        "preparation": spec.get("preparation", "unit"),
        "standin": spec["standin"],
        "images": node.inputs["images"].path,
    }
    with torch.inference_mode():
        facts |= (embed_captions if spec.get("captions") else embed_images)(node, out, build, network)
    facts["content"] = digest([facts.get(key) for key in ("seen", "network_sha256", "preparation", "image_size")])
    build.facts |= facts


def embed_images(node: Node, out: Path, build: Build, network: FeatureExtractor) -> dict[str, object]:
    """``pooled.npy``, ``probabilities.npy`` and ``origin.npy`` of images; returns the facts about them."""
    images = open_images(build.input("images"), node.inputs["images"].kind, node.spec["split"], node.spec.get("size"))
    file = out / "probabilities.npy"
    with npy_writer(out / "pooled.npy", images.count) as pooled, npy_writer(file, images.count) as probabilities:
        dimensions, classes, seen = embed(images, network, pooled, probabilities, node.name)
    if not classes:
        file.unlink()
    write_origin(out, images.origin)
    return {
        "data_is_standin": images.data_is_standin,
        "real_images": images.real,
        "run": images.run,
        "n": images.count,
        "image_size": images.size,
        "reduced": images.reduced,
        "outside": images.outside,
        "dimensions": dimensions,
        "classes": classes,
        "seen": seen,
    }


def embed_captions(node: Node, out: Path, build: Build, network: FeatureExtractor) -> dict[str, object]:
    """``pooled.npy`` and ``origin.npy`` of every caption of a split, in the dataset's order."""
    if network.embed_captions is None:
        raise ReproError(f"{node.name}: {network.name} reads no captions; expected a network with a text encoder")
    data = Prepared(build.input("images"))
    images = indices_of(data, node.spec["split"])
    captions = np.concatenate([np.array(data.caption_ids(int(image)), dtype=np.int64) for image in images])
    hashed, dimensions = hashlib.sha256(), 0
    with npy_writer(out / "pooled.npy", len(captions)) as pooled:
        for start in tqdm(range(0, len(captions), CAPTIONS), desc=node.name, unit="batch", disable=None):
            part = captions[start : start + CAPTIONS].tolist()
            rows = network.embed_captions(data, part).float().cpu().numpy()
            check_finite({"embedding of caption": rows}, start, node.name)
            pooled.write(rows)
            dimensions = rows.shape[1]
            for caption in part:
                hashed.update(data.caption(caption).encode() + b"\0")
    owners = data.caption_image[captions]
    write_origin(out, np.stack([owners, captions, data.class_ids[owners]], axis=1))
    return {
        "data_is_standin": data.raw_is_standin,
        "n": len(captions),
        "dimensions": dimensions,
        "has_classes": data.has_classes,
        "seen": hashed.hexdigest(),
    }


def write_origin(out: Path, origin: np.ndarray) -> None:
    with atomic_write(out / "origin.npy") as file:
        np.save(file, origin.astype("<i8"))


def embed(
    images: Images, network: FeatureExtractor, pooled_rows: NpyWriter, probability_rows: NpyWriter, title: str
) -> tuple[int, int, str]:
    """Write pooled features [N, d] and probabilities [N, K]; returns d, K (0: no classes) and the SHA-256 of all
    pixels. Constant memory.

    A row depends on its image alone. Raises ReproError on NaN, and when all images have the same features.
    """
    first: np.ndarray | None = None
    alike, shape, seen = True, (0, 0), hashlib.sha256()
    with tqdm(total=images.count, desc=title, unit="img", disable=None) as bar:
        for start in range(0, images.count, CHUNK):
            block = images.read(start, min(start + CHUNK, images.count))
            if block.shape[1:] != (images.size, images.size, 3):
                raise ReproError(f"{title}: images {start}..: found {block.shape[1:]}; expected {images.size} px, RGB")
            seen.update(np.ascontiguousarray(block).data)
            pooled, probabilities = extract(network, block)
            check_finite({"pooled features of image": pooled, "probabilities of image": probabilities}, start, title)
            if first is None:
                first, shape = pooled[0], (pooled.shape[1], probabilities.shape[1])
            alike = alike and bool((pooled == first).all())
            pooled_rows.write(pooled)
            probability_rows.write(probabilities)
            bar.update(len(block))
    if images.count == 0:
        raise ReproError(f"{title}: no image to embed")
    if alike and images.count > 1:
        raise ReproError(
            f"{title}: all {images.count} images have the same features: the images are all alike (a collapsed "
            f"generator?), or the network is broken; see the sample's preview.png"
        )
    return *shape, seen.hexdigest()


def extract(network: FeatureExtractor, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features [B, d] and probabilities [B, K] (K = 0: no classes) of at most CHUNK images uint8 [B, S, S, 3], padded
    to CHUNK."""
    filled = np.zeros((CHUNK, *block.shape[1:]), dtype=np.uint8)
    filled[: len(block)] = block
    pooled, logits = network.extract(torch.from_numpy(filled).permute(0, 3, 1, 2))
    features = pooled[: len(block)].float().cpu().numpy()
    if logits is None:
        return features, np.zeros((len(block), 0), dtype=np.float32)
    return features, torch.softmax(logits[: len(block)].double(), dim=1).float().cpu().numpy()


def check_finite(arrays: dict[str, np.ndarray], start: int, title: str) -> None:
    """Refuse NaN and infinity; `start` is the index of the first row."""
    for what, values in arrays.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise ReproError(
                f"{title}: {what} {start + bad[0]} holds NaN or infinity: network or images are broken. Train or "
                f"sample again."
            )
