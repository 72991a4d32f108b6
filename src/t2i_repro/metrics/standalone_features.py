"""Networks for the evaluator on its own: found, checked, and shown each image once, all of them together."""

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
from t2i_repro.metrics.embed import CAPTIONS, CHUNK, check_finite, look
from t2i_repro.metrics.extractors import Network, open_network, open_weights
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.sources import Source

Look = tuple[str, str]  # network of params.yaml, preparation


class Texts:
    """Captions of a file, to networks that read those of prepared data. ``words``: the data whose vocabulary a network
    of the pipeline knows."""

    def __init__(self, captions: list[str], words: Prepared | None) -> None:
        self.captions, self.words = captions, words
        self.folder = None if words is None else words.folder
        self.vocabulary = [] if words is None else words.vocabulary

    def caption(self, number: int) -> str:
        return self.captions[number]

    def encode(self, text: str, skip_unknown: bool = False) -> np.ndarray:
        assert self.words is not None
        return self.words.encode(text, skip_unknown)

    def tokens(self, number: int) -> np.ndarray:
        return self.encode(self.captions[number], skip_unknown=True)


class Looking:
    """Networks by their names in params.yaml, opened when asked for."""

    def __init__(self, params: dict[str, Any], weights: Path, instead: dict[str, str]) -> None:
        self.params, self.weights, self.instead = params, weights, {key: Path(path) for key, path in instead.items()}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._opened: dict[Look, Network] = {}

    def network(self, look_: Look) -> Network:
        """Raises ReproError where there are no weights, or others than the checksum says."""
        if look_ not in self._opened:
            self._opened[look_] = self._open(*look_)
        return self._opened[look_]

    def _open(self, name: str, preparation: str) -> Network:
        if name in self.instead:
            return open_network(self.instead[name], self.device, preparation)
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
        """Lets go of the networks."""
        self._opened.clear()

    def standin(self, name: str, network: Network) -> bool:
        return network.standin or name in self.instead

    @torch.inference_mode()
    def features(
        self, source: Source, looks: set[Look], side: int | None, store: Path, texts: list[tuple[str, int]] | None
    ) -> dict[Look, Features]:
        """Features of every image by every network, each image decoded once; those that ``store`` has by content are
        not computed again."""
        store.mkdir(parents=True, exist_ok=True)
        networks = {one: self.network(one) for one in sorted(looks)}
        paths = {
            one: store / digest([source.digest, side, network.sha256, one[1], "float32"])
            for one, network in networks.items()
        }
        missing = {one: networks[one] for one in networks if not (paths[one] / "pooled.npy").exists()}
        if missing:
            self._look(source, missing, side, paths)
        return {one: self._stored(source, one, networks[one], paths[one], texts) for one in networks}

    def _look(self, source: Source, networks: dict[Look, Network], side: int | None, paths: dict[Look, Path]) -> None:
        """Shows every image to the networks; features go to files as they come. ``pooled.npy`` appears last."""
        first: dict[Look, np.ndarray] = {}
        alike = dict.fromkeys(networks, True)
        constant, size = 0, side
        with ExitStack() as files:
            writers: dict[tuple[Look, str], NpyWriter] = {}
            for start in tqdm(range(0, len(source), CHUNK), desc=source.path.name, unit="batch", disable=None):
                block = source.read(start, min(start + CHUNK, len(source)), side)
                size = size or block.shape[1]
                if block.shape[1] != size:
                    raise ReproError(f"{source.path}: {source.names[start]} is {block.shape[1]} px; expected {size} px")
                constant += int((block.reshape(len(block), -1, 3).std(axis=1).max(axis=1) == 0).sum())
                for one, network in networks.items():
                    pooled, probabilities = look(network, block)
                    check_finite({f"{one[0]}: features of image": pooled}, start, str(source.path))
                    alike[one] &= bool((pooled == first.setdefault(one, pooled[0])).all())
                    for name, rows in (("pooled", pooled), ("probabilities", probabilities)):
                        if rows.shape[1] and (one, name) not in writers:
                            paths[one].mkdir(parents=True, exist_ok=True)
                            writer = npy_writer(paths[one] / f"{name}.npy", len(source))
                            writers[one, name] = files.enter_context(writer)
                        if rows.shape[1]:
                            writers[one, name].write(rows)
            for one in networks:
                if alike[one] and len(source) > 1:
                    raise ReproError(f"{source.path}: all {len(source)} images have the same features by {one[0]}")
                with atomic_write(paths[one] / "counts.npy") as file:
                    np.save(file, np.array([constant, size]))

    def _stored(
        self, source: Source, one: Look, network: Network, path: Path, texts: list[tuple[str, int]] | None
    ) -> Features:
        pooled, counts = np.load(path / "pooled.npy", mmap_mode="r"), np.load(path / "counts.npy")
        classified = path / "probabilities.npy"
        probabilities = np.load(classified, mmap_mode="r") if classified.exists() else None
        numbers = np.arange(len(source), dtype=np.int64)
        classes = [-1] * len(source) if texts is None else [number for _, number in texts]
        facts = {
            "network": network.name,
            "network_sha256": network.sha256,
            "preparation": one[1],
            "standin": self.standin(one[0], network),
            "images": str(source.path),
            "n": len(source),
            "dimensions": pooled.shape[1],
            "classes": 0 if probabilities is None else probabilities.shape[1],
            "image_size": int(counts[1]),
            "constant": int(counts[0]),
        }
        origin = np.stack([numbers, numbers, np.array(classes, dtype=np.int64)], axis=1)
        return Features(path, {"facts": facts}, pooled, probabilities, origin)

    @torch.inference_mode()
    def captions(self, name: str, texts: list[tuple[str, int]]) -> Features:
        """Embeddings of the captions of a file, each once."""
        network = self.network(next(one for one in self._opened if one[0] == name))
        if network.read is None:
            raise ReproError(f"{name}: {network.name} reads no captions")
        words = None
        if name in self.instead:
            words = Prepared(Path(read_record(self.instead[name])["inputs"]["data"]["path"]))
        data = cast(Prepared, Texts([caption for caption, _ in texts], words))
        numbers = range(len(texts))
        parts = [list(numbers[start : start + CAPTIONS]) for start in range(0, len(texts), CAPTIONS)]
        pooled = np.concatenate([network.read(data, part).float().cpu().numpy() for part in parts])
        classes = np.array([number for _, number in texts], dtype=np.int64)
        rows = np.arange(len(texts), dtype=np.int64)
        told = hashlib.sha256("\0".join(caption for caption, _ in texts).encode()).hexdigest()
        facts = {"has_classes": bool((classes >= 0).all()), "n": len(texts), "seen": told}
        facts |= {"standin": self.standin(name, network)}
        return Features(Path(name), {"facts": facts}, pooled, None, np.stack([rows, rows, classes], axis=1))
