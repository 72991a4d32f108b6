"""From images to a metric through the two verbs, with a tiny classifier and fake samples."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_project import SIZE, EvaluationProject, built, noise

from t2i_repro.core.record import write_json
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics import embed as embed_verb
from t2i_repro.metrics.comparison import UNPLANNED
from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.images import centre_crop
from t2i_repro.metrics.inception_splits import inception_score
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.classifier import Classifier


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluationProject:
    monkeypatch.chdir(tmp_path)
    return EvaluationProject()


def test_features_and_metrics_of_samples(world: EvaluationProject) -> None:
    images = noise(20)
    features = world.embed(world.sample(images))
    pooled, probabilities = (np.load(Path(features.folder) / f"{name}.npy") for name in ("pooled", "probabilities"))
    assert pooled.shape == (20, 16)
    assert pooled.dtype == probabilities.dtype == np.float32
    network = Classifier(build_backbone("standin", 2), 5)
    network.load_state_dict(torch.load(Path(world.network.folder) / "classifier.pt"))
    network.eval()
    with torch.no_grad():
        expected, logits = network.features(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1)
    np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(probabilities, logits.softmax(1), rtol=1e-4, atol=1e-6)

    metric = world.score(features, images=20)
    assert (metric["value"], metric["std"]) == inception_score(probabilities, 2)
    assert metric["protocol"] == "is:standin"
    assert metric["asked"] == "is:finetuned"
    assert metric["network"] == f"cub-standin-test-classes-{world.network.digest}"
    assert len(metric["network_sha256"]) == 64
    assert metric["comparable"] is False
    assert metric["obstacles"] == ["smoke scale", "stand-in data", "stand-in network"]
    assert metric["run"] == {"path": world.run.folder, "digest": world.run.digest}

    real = world.embed(world.data, split="test")
    against = world.score(features, real, images=20)
    assert against["value"] == frechet_distance(pooled, np.load(Path(real.folder) / "pooled.npy"))
    assert against["reference"] == {"split": "test", "n": 6, "data": world.data.folder, "standin": True}
    assert against["details"]["noise_floor"]["n"] == [3, 3]


def test_real_images_are_the_centre_crops_of_the_split(world: EvaluationProject) -> None:
    real = world.embed(world.data, split="test")
    data = Prepared(Path(world.data.folder))
    crops = np.stack([data.pixels(index)[1:17, 4:20] for index in range(6, 12)])
    sampled = world.embed(world.sample(crops, "crops"))
    for name in ("pooled.npy", "probabilities.npy"):
        assert (Path(real.folder) / name).read_bytes() == (Path(sampled.folder) / name).read_bytes()
    assert world.score(sampled, real, images=6)["value"] == 0.0
    with pytest.raises(ReproError, match="at least 30 px"):
        centre_crop(data.pixels(0), 30)


def test_a_row_depends_on_its_image_alone(world: EvaluationProject) -> None:
    images = noise(37)
    order = np.random.default_rng(2).permutation(37)
    whole, mixed = world.embed(world.sample(images, "whole")), world.embed(world.sample(images[order], "mixed"))
    few = world.embed(world.sample(images[:5], "few"))
    for name in ("pooled.npy", "probabilities.npy"):
        rows = np.load(Path(whole.folder) / name)
        np.testing.assert_array_equal(np.load(Path(mixed.folder) / name), rows[order])
        np.testing.assert_array_equal(np.load(Path(few.folder) / name), rows[:5])


def test_the_wrong_number_of_images_is_refused(world: EvaluationProject) -> None:
    features = world.embed(world.sample(noise(20)))
    with pytest.raises(ReproError, match=r"fid:tf asks 30000 images, there are 20 in results/smoke/samples/cub-gan-s0"):
        world.score(features, world.embed(world.data, split="test"), images=30000)
    with pytest.raises(ReproError, match=r"50 splits.*has 20 images"):
        world.score(features, images=20, splits=50)


def test_images_of_another_size_are_refused(world: EvaluationProject) -> None:
    features = world.embed(world.sample(noise(8, size=24)))
    with pytest.raises(ReproError, match="image size: found 24 and 16"):
        world.score(features, world.embed(world.data, split="test"), images=8)
    flat = world.sample(noise(8)[:, :12], "flat")
    with pytest.raises(ReproError, match=r"expected uint8 \[N, S, S, 3\]"):
        world.embed(flat)


def test_collapsed_and_broken_images_are_refused(world: EvaluationProject) -> None:
    with pytest.raises(ReproError, match=r"same features.*collapsed"):
        world.embed(world.sample(np.zeros((20, SIZE, SIZE, 3), dtype=np.uint8)))
    pooled = np.ones((5, 4), dtype=np.float32)
    pooled[3, 1] = np.nan
    with pytest.raises(ReproError, match="of image 35 holds NaN"):
        embed_verb.check_finite({"pooled features of image": pooled}, 32, "broken")
    assert not [path for path in Path("results").rglob("*.npy") if "features" in path.parts]
    assert not list(Path("results").rglob("*.partial"))


def test_weights_that_are_not_the_recorded_ones_are_refused(world: EvaluationProject) -> None:
    path = Path(world.network.folder) / "classifier.pt"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size
    with pytest.raises(ReproError, match=r"classifier\.pt: SHA-256"):
        world.embed(world.sample(noise(4)))


@pytest.mark.parametrize(
    ("scale", "standin", "obstacles"),
    [("paper", False, [UNPLANNED]), ("small", True, ["small scale", "stand-in data"])],
)
def test_obstacles_are_scale_data_and_what_the_plan_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: str, standin: bool, obstacles: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    world = EvaluationProject(scale, standin)
    features = world.embed(world.sample(noise(20)))
    record = Path(features.folder) / "record.json"
    content = json.loads(record.read_text())
    content["facts"]["standin"] = False
    write_json(record, content)
    metric = world.score(features, images=20)
    assert metric["protocol"] == "is:finetuned"
    assert metric["obstacles"] == obstacles
    assert metric["comparable"] is not bool(obstacles)
    assert "fine-tuned by this project" in metric["caveats"][0]


def test_the_released_inception_is_asked_for_the_right_layers(
    world: EvaluationProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    asked: dict[str, Any] = {}

    class Fake(torch.nn.Module):
        def __init__(self, name: str, features: list[str], feature_extractor_weights_path: str) -> None:
            super().__init__()
            asked.update(features=features, weights=feature_extractor_weights_path)

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            assert images.dtype == torch.uint8
            values = images.float().mean(dim=(2, 3))
            return values, values / 50

    monkeypatch.setattr(module, "FeatureExtractorInceptionV3", Fake)
    monkeypatch.setattr("t2i_repro.metrics.extractors.InceptionTF", lambda port, device: port)
    spec = {"sha256": "", "trunk": "inception-tf"}
    asset = built(
        world.node("asset", "inception-tf-2015", spec), lambda folder: (folder / "weights.pth").write_bytes(b"w")
    )
    record = json.loads((Path(asset.folder) / "record.json").read_text())
    from t2i_repro.metrics.extractors import open_inception_tf

    with pytest.raises(ReproError, match="no file with SHA-256"):
        open_inception_tf(Path(asset.folder), record, torch.device("cpu"), "unit")
    record["spec"]["sha256"] = record["files"]["weights.pth"]["sha256"]
    network = open_inception_tf(Path(asset.folder), record, torch.device("cpu"), "unit")
    assert asked == {"features": ["2048", "logits_unbiased"], "weights": str(Path(asset.folder) / "weights.pth")}
    assert not network.standin
    images = torch.from_numpy(noise(3)).permute(0, 3, 1, 2)
    torch.testing.assert_close(network.extract(images)[0], images.float().mean(dim=(2, 3)))


def test_scoring_needs_no_torch_and_loads_scipy_only_to_decompose() -> None:
    """Hundreds of jobs start so; these imports would be most of what each costs."""
    code = "import sys, t2i_repro.metrics.score; sys.exit(str({'torch', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
