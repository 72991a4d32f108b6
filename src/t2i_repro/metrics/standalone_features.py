"""Feature extraction for `score --samples`: load networks, verify checksums, run all of them on each batch once."""

import hashlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tqdm import tqdm

from t2i_repro.core.digest import digest, file_sha256
from t2i_repro.core.npy import NpyWriter, npy_writer
from t2i_repro.core.record import atomic_write, read_record
from t2i_repro.data.fetch import asset
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.embed import CAPTIONS, CHUNK, check_finite, extract
from t2i_repro.metrics.extractors import FeatureExtractor, open_extractor, open_weights
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.sources import Source
from t2i_repro.models.state import pick_device

View = tuple[str, str]  # a network of params.yaml and a preparation of its inputs


class CaptionFile:
    """Captions of a file with the methods of `Prepared` that feature extractors call. ``words``: the prepared data
    whose vocabulary a network of the pipeline was trained with."""

    def __init__(self, captions: list[str], words: Prepared | None) -> None:
        self.captions, self.words = captions, words
        self.folder = None if words is None else words.folder
        self.vocabulary = [] if words is None else words.vocabulary

    def caption(self, index: int) -> str:
        return self.captions[index]

    def encode(self, text: str, skip_unknown: bool = False) -> np.ndarray:
        assert self.words is not None
        return self.words.encode(text, skip_unknown)

    def tokens(self, index: int) -> np.ndarray:
        return self.encode(self.captions[index], skip_unknown=True)


class StandaloneFeatures:
    """Feature extractors by their names in params.yaml, opened on first use. ``replaced``: artefact folders to use
    instead of the networks of these names."""

    def __init__(self, params: dict[str, Any], weights: Path, replaced: dict[str, str]) -> None:
        self.params, self.weights = params, weights
        self.replaced = {name: Path(path) for name, path in replaced.items()}
        self.device = pick_device()
        self._opened: dict[View, FeatureExtractor] = {}

    def network(self, view: View) -> FeatureExtractor:
        """Raises ReproError when the weights are missing or have another checksum."""
        if view not in self._opened:
            self._opened[view] = self._open(*view)
        return self._opened[view]

    def _open(self, name: str, preparation: str) -> FeatureExtractor:
        if name in self.replaced:
            return open_extractor(self.replaced[name], self.device, preparation)
        entry = self.params["networks"][name]
        if entry["source"] != "asset":
            raise ReproError(f"{name}: is trained in the pipeline; give its folder: --network {name}=results/...")
        known = asset(entry["asset"])
        path = self.weights / known["file"]
        if not path.is_file():
            raise ReproError(
                f"{path}: no weights of {name} there. Fetch them: python -m t2i_repro fetch {entry['asset']} --to "
                f"{self.weights}"
            )
        found = file_sha256(path)
        if found != known["sha256"]:
            raise ReproError(f"{path}: SHA-256 {found}; expected {known['sha256']}. Remove it and fetch it again")
        return open_weights(path, entry["asset"], entry["trunk"], found, self.device, preparation)

    def close(self) -> None:
        """Free the networks' memory."""
        self._opened.clear()

    def is_standin(self, name: str, network: FeatureExtractor) -> bool:
        return network.standin or name in self.replaced

    @torch.inference_mode()
    def of_images(
        self, source: Source, views: set[View], size: int | None, store: Path, captions: list[tuple[str, int]] | None
    ) -> dict[View, Features]:
        """Features of every image by every network. Each image is decoded once; features that ``store`` holds, by
        content, are not computed again."""
        store.mkdir(parents=True, exist_ok=True)
        networks = {view: self.network(view) for view in sorted(views)}
        paths = {
            view: store / digest([source.digest, size, network.sha256, view[1], "float32"])
            for view, network in networks.items()
        }
        missing = {view: networks[view] for view in networks if not (paths[view] / "pooled.npy").exists()}
        if missing:
            self._extract(source, missing, size, paths)
        return {view: self._stored(source, view, networks[view], paths[view], captions) for view in networks}

    def _extract(
        self, source: Source, networks: dict[View, FeatureExtractor], size: int | None, paths: dict[View, Path]
    ) -> None:
        """Run the networks on every image and write features as they come. ``pooled.npy`` appears last."""
        first: dict[View, np.ndarray] = {}
        alike = dict.fromkeys(networks, True)
        constant, side = 0, size
        with ExitStack() as files:
            writers: dict[tuple[View, str], NpyWriter] = {}
            for start in tqdm(range(0, len(source), CHUNK), desc=source.path.name, unit="batch", disable=None):
                block = source.read(start, min(start + CHUNK, len(source)), size)
                side = side or block.shape[1]
                if block.shape[1] != side:
                    raise ReproError(f"{source.path}: {source.names[start]} is {block.shape[1]} px; expected {side} px")
                constant += int((block.reshape(len(block), -1, 3).std(axis=1).max(axis=1) == 0).sum())
                for view, network in networks.items():
                    pooled, probabilities = extract(network, block)
                    check_finite({f"{view[0]}: features of image": pooled}, start, str(source.path))
                    alike[view] &= bool((pooled == first.setdefault(view, pooled[0])).all())
                    for name, rows in (("pooled", pooled), ("probabilities", probabilities)):
                        if rows.shape[1] and (view, name) not in writers:
                            paths[view].mkdir(parents=True, exist_ok=True)
                            writer = npy_writer(paths[view] / f"{name}.npy", len(source))
                            writers[view, name] = files.enter_context(writer)
                        if rows.shape[1]:
                            writers[view, name].write(rows)
            for view in networks:
                if alike[view] and len(source) > 1:
                    raise ReproError(f"{source.path}: all {len(source)} images have the same features by {view[0]}")
                with atomic_write(paths[view] / "counts.npy") as file:
                    np.save(file, np.array([constant, side]))

    def _stored(
        self,
        source: Source,
        view: View,
        network: FeatureExtractor,
        path: Path,
        captions: list[tuple[str, int]] | None,
    ) -> Features:
        pooled, counts = np.load(path / "pooled.npy", mmap_mode="r"), np.load(path / "counts.npy")
        classified = path / "probabilities.npy"
        probabilities = np.load(classified, mmap_mode="r") if classified.exists() else None
        indices = np.arange(len(source), dtype=np.int64)
        classes = [-1] * len(source) if captions is None else [class_id for _, class_id in captions]
        facts = {
            "network": network.name,
            "network_sha256": network.sha256,
            "preparation": view[1],
            "standin": self.is_standin(view[0], network),
            "images": str(source.path),
            "n": len(source),
            "dimensions": pooled.shape[1],
            "classes": 0 if probabilities is None else probabilities.shape[1],
            "image_size": int(counts[1]),
            "constant": int(counts[0]),
        }
        origin = np.stack([indices, indices, np.array(classes, dtype=np.int64)], axis=1)
        return Features(path, {"facts": facts}, pooled, probabilities, origin)

    @torch.inference_mode()
    def of_captions(self, name: str, captions: list[tuple[str, int]]) -> Features:
        """Embeddings of (caption, class) pairs, each caption once."""
        network = self.network(next(view for view in self._opened if view[0] == name))
        if network.embed_captions is None:
            raise ReproError(f"{name}: {network.name} reads no captions")
        words = None
        if name in self.replaced:
            words = Prepared(Path(read_record(self.replaced[name])["inputs"]["data"]["path"]))
        data = cast(Prepared, CaptionFile([caption for caption, _ in captions], words))
        indices = range(len(captions))
        parts = [list(indices[start : start + CAPTIONS]) for start in range(0, len(captions), CAPTIONS)]
        pooled = np.concatenate([network.embed_captions(data, part).float().cpu().numpy() for part in parts])
        classes = np.array([class_id for _, class_id in captions], dtype=np.int64)
        rows = np.arange(len(captions), dtype=np.int64)
        seen = hashlib.sha256("\0".join(caption for caption, _ in captions).encode()).hexdigest()
        facts = {"has_classes": bool((classes >= 0).all()), "n": len(captions), "seen": seen}
        facts |= {"standin": self.is_standin(name, network)}
        return Features(Path(name), {"facts": facts}, pooled, None, np.stack([rows, rows, classes], axis=1))
