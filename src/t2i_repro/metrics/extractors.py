"""Networks that look at images: our classifiers, the Inceptions of 2015 and of torchvision, and those that also read
captions (DAMSM, CLIP) or read captions alone (char-CNN-RNN)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.bn_folding import frozen
from t2i_repro.metrics.inception_tf import InceptionTF
from t2i_repro.metrics.preparation import PREPARATIONS
from t2i_repro.models.encoders.backbone import build_trunk
from t2i_repro.models.encoders.classifier import Classifier

Look = Callable[[Tensor], tuple[Tensor, Tensor | None]]
Read = Callable[[Prepared, Sequence[int]], Tensor]


@dataclass(frozen=True)
class Network:
    """``look``: uint8 images [B, 3, S, S] -> (features [B, d], logits [B, K] or None), float32. ``read``: captions of a
    dataset, by number -> embeddings [B, d] in the same space; None for networks that read nothing.

    ``name``: the artefact it comes from; ``sha256``: of its weights' file; ``trained_by_us``: not weights as published.
    """

    name: str
    look: Look
    sha256: str
    standin: bool
    trained_by_us: bool
    read: Read | None = None


def open_network(folder: Path, device: torch.device, preparation: str = "unit") -> Network:
    """The network of an artefact's folder. ``preparation``: how images become its input (``preparation.py``), where
    the network leaves a choice. Raises ReproError when its record says otherwise."""
    record = read_record(folder)
    if preparation not in PREPARATIONS:
        raise ReproError(f"preparation: found {preparation!r}; expected one of {', '.join(PREPARATIONS)}")
    if record["kind"] == "classifier":
        return open_classifier(folder, record, device, preparation)
    if record["kind"] in ("damsm", "clip", "itm", "char-cnn-rnn") or record["spec"].get("trunk") == "clip":
        from t2i_repro.metrics.text_extractors import open_dual

        return open_dual(folder, record, device, preparation)
    openers = {"inception-tf": open_inception_tf, "inception": open_inception}
    if record["kind"] == "asset" and record["spec"].get("trunk") in openers:
        return openers[record["spec"]["trunk"]](folder, record, device, preparation)
    what = f"{record['kind']} {record['name']}"
    raise ReproError(
        f"{folder}: {what} gives no features for a metric; expected a classifier, a damsm, clip, itm or "
        f"char-cnn-rnn, or an asset of {', '.join(openers)}, clip"
    )


def open_weights(path: Path, name: str, trunk: str, sha256: str, device: torch.device, preparation: str) -> Network:
    """A network from a file of weights whose SHA-256 has been checked, without an artefact's record."""
    record = {
        "kind": "asset",
        "name": name,
        "digest": sha256[:10],
        "spec": {"sha256": sha256, "trunk": trunk},
        "files": {path.name: {"sha256": sha256}},
    }
    if trunk == "clip":
        from t2i_repro.metrics.text_extractors import open_dual

        return open_dual(path.parent, record, device, preparation)
    opener = {"inception-tf": open_inception_tf, "inception": open_inception}[trunk]
    return opener(path.parent, record, device, preparation)


def checked_weights(folder: Path, record: dict[str, Any], name: str) -> str:
    """SHA-256 of a file of an artefact, after comparing it with the record."""
    stated = record["files"].get(name, {}).get("sha256")
    found = file_sha256(folder / name)
    if found != stated:
        raise ReproError(
            f"{folder / name}: SHA-256 {found}; its record says {stated}. Remove {folder} and build it again."
        )
    return found


def asset_weights(folder: Path, record: dict[str, Any]) -> Path:
    """The file of an asset that has the SHA-256 its spec asks for, its content checked."""
    wanted = record["spec"]["sha256"]
    names = [name for name, file in record["files"].items() if file["sha256"] == wanted]
    if not names:
        raise ReproError(f"{folder}: no file with SHA-256 {wanted}; remove it and fetch the asset again")
    checked_weights(folder, record, names[0])
    return folder / names[0]


def open_classifier(folder: Path, record: dict[str, Any], device: torch.device, preparation: str) -> Network:
    """A classifier trained in the DAG: pooled features of its trunk, logits over the classes of its split."""
    path, spec = folder / "classifier.pt", record["spec"]
    sha256 = checked_weights(folder, record, path.name)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = Classifier(build_trunk(spec["trunk"], spec["width"]), classes=len(state["head.weight"]))
        network.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError) as error:
        found = str(error).splitlines()[0]
        raise ReproError(
            f"{path}: not the weights of {record['name']} ({found}); remove {folder} and train it again"
        ) from error
    frozen(network, device)
    prepare = PREPARATIONS[preparation]

    def look(images: Tensor) -> tuple[Tensor, Tensor]:
        return network.features(prepare(images, None).to(device))

    return Network(f"{record['name']}-{record['digest']}", look, sha256, spec["trunk"] == "standin", trained_by_us=True)


def open_inception(folder: Path, record: dict[str, Any], device: torch.device, preparation: str) -> Network:
    """torchvision's Inception-v3, weights as published: 2048 pooled features, no logits.

    With preparation ``legacy`` it is the network of DM-GAN's and DF-GAN's FID, whose inputs are scaled as if they had
    ImageNet's normalisation already.
    """
    path = asset_weights(folder, record)
    trunk = build_trunk("inception", weights=path)
    frozen(trunk, device)
    prepare = PREPARATIONS[preparation]

    def look(images: Tensor) -> tuple[Tensor, None]:
        return trunk(prepare(images, trunk.input_size).to(device))[1], None

    name = f"{record['name']}-{record['digest']}"
    return Network(name, look, record["spec"]["sha256"], standin=False, trained_by_us=False)


def open_inception_tf(folder: Path, record: dict[str, Any], device: torch.device, preparation: str) -> Network:
    """torch-fidelity's port of the graph that FID and IS were defined with.

    Inside: the resize of TensorFlow 1 and (x - 128) / 128. Out: the 2048 features of pool3, and 1008 logits without the
    bias, which the released IS code leaves out.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = asset_weights(folder, record)
    extractor = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    network = InceptionTF(extractor, device)

    def look(images: Tensor) -> tuple[Tensor, Tensor]:
        return network(images.to(device))

    name = f"{record['name']}-{record['digest']}"
    return Network(name, look, record["spec"]["sha256"], standin=False, trained_by_us=False)
