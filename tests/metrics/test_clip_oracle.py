"""CLIP features against open_clip's own preprocessing and encoders, on one network with random weights.

Tolerance: both sides do the same operations in float32 on the same 8-bit pixels, in batches of different sizes. A
different order of summation may change the last bits of each sum (6e-8), and this network has a few dozen of them
in a row (2e-7 is usual): 1e-5 of a feature vector's length is room for that, and hundreds of times less than what a
mistaken mean, deviation or filter of the preprocessing makes (there is a test of it).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_project import EvaluationProject, built
from PIL import Image

from t2i_repro.core.digest import file_sha256
from t2i_repro.metrics.extractors import FeatureExtractor, open_extractor, open_weights
from t2i_repro.metrics.standalone_features import CaptionFile

open_clip = pytest.importorskip("open_clip")
CPU, TOLERANCE = torch.device("cpu"), 1e-5
CAPTIONS = ["a small red bird", "This flower has petals that are YELLOW, with " + "very " * 80 + "long stamen", "a"]


@pytest.fixture(scope="module")
def library() -> Any:
    """open_clip's ViT-B/32 in small: its code, its activation (QuickGELU), random weights of half precision, as OpenAI
    stores them."""
    torch.manual_seed(0)
    vision = open_clip.CLIPVisionCfg(image_size=224, patch_size=32, width=64, layers=3, head_width=64)
    text = open_clip.CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=1, layers=3)
    model = open_clip.CLIP(32, vision, text, quick_gelu=True).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    return model


@pytest.fixture(scope="module")
def weights(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    torch.save(library.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def network(weights: Path) -> FeatureExtractor:
    return open_weights(weights, "clip-vit-b-32", "clip", file_sha256(weights), CPU, "clip")


def pictures(side: int) -> np.ndarray:
    """Three images with edges and noise, uint8 [3, side, side, 3]."""
    rng = np.random.default_rng(side)
    coarse = rng.integers(0, 200, (3, 8, 8, 3)).repeat(side // 8, 1).repeat(side // 8, 2)
    return (coarse + rng.integers(0, 56, coarse.shape)).astype(np.uint8)


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())


@torch.no_grad()
@pytest.mark.parametrize("side", [64, 224, 256])
def test_images(library: Any, network: FeatureExtractor, side: int) -> None:
    images = pictures(side)
    transform = open_clip.image_transform(
        224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    inputs = torch.stack([transform(Image.fromarray(pixels)) for pixels in images])
    found, logits = network.extract(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert logits is None
    assert difference(found, torch.cat([library.encode_image(one[None]) for one in inputs])) < TOLERANCE


@torch.no_grad()
def test_captions(library: Any, network: FeatureExtractor) -> None:
    assert network.embed_captions is not None
    found = network.embed_captions(CaptionFile(CAPTIONS, None), (2, 0, 1))  # type: ignore[arg-type]
    tokens = open_clip.get_tokenizer("ViT-B-32-quickgelu")([CAPTIONS[number] for number in (2, 0, 1)])
    assert tokens.shape == (3, 77)
    assert difference(found, torch.cat([library.encode_text(one[None]) for one in tokens])) < TOLERANCE


@torch.no_grad()
def test_the_tolerance_tells_other_preprocessing_apart(library: Any, network: FeatureExtractor) -> None:
    images = pictures(256)
    found = network.extract(torch.from_numpy(images).permute(0, 3, 1, 2))[0]
    for change in ({"interpolation": "bilinear"}, {"mean": (0.485, 0.456, 0.406)}, {"std": (0.5, 0.5, 0.5)}):
        how = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD, **change}
        transform = open_clip.image_transform(224, is_train=False, **how)
        other = library.encode_image(torch.stack([transform(Image.fromarray(pixels)) for pixels in images]))
        assert difference(found, other) > 100 * TOLERANCE


def test_an_asset_of_the_dag_is_the_same_network(
    weights: Path, network: FeatureExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sha256 = file_sha256(weights)
    node = EvaluationProject().node("asset", "clip-vit-b-32", {"sha256": sha256, "trunk": "clip"})
    built(node, lambda folder: (folder / weights.name).write_bytes(weights.read_bytes()))
    images = torch.from_numpy(pictures(64)).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = open_extractor(Path(node.folder), CPU, "clip").extract(images)[0]
        torch.testing.assert_close(found, network.extract(images)[0])
