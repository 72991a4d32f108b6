"""`score --samples`: the evaluator on a folder, a zip or an npz, without the pipeline's artefacts."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from evaluation_project import EvaluationProject, noise
from PIL import Image

from t2i_repro.cli import main
from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.sources import fitted, open_source

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvaluationProject:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((PROJECT / "params.yaml").read_text())
    return EvaluationProject()


def write(folder: Path, images: np.ndarray, suffix: str = "png") -> Path:
    folder.mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number:03d}.{suffix}")
    return folder


def score(world: EvaluationProject, samples: str, *more: str, count: int = 20) -> list[dict]:
    given = ["score", "--samples", samples, "--images", str(count), "--json", "out.json", *more]
    assert main([*given, "--network", f"inception-tf={world.network.folder}"]) == 0
    return json.loads(Path("out.json").read_text())


def test_folder_zip_and_array_score_alike(world: EvaluationProject, capsys: pytest.CaptureFixture[str]) -> None:
    fake, real = noise(20), noise(18, seed=2) // 2
    write(Path("fake"), fake)
    write(Path("real"), real)
    with zipfile.ZipFile("fake.zip", "w") as archive:
        for path in Path("fake").iterdir():
            archive.write(path, path.name)
    np.savez("fake.npz", fake)
    np.save("fake.npy", fake)
    wanted = ["--real", "real", "--protocol", "fid:tf", "--protocol", "is:imagenet", "--protocol", "kid:tf"]
    found = [score(world, name, *wanted) for name in ("fake", "fake.zip", "fake.npz", "fake.npy")]
    for other in found[1:]:
        assert [entry["value"] for entry in other] == [entry["value"] for entry in found[0]]
    fid, inception, _ = found[0]
    assert fid["protocol"] == "fid:standin"
    assert fid["asked"] == "fid:tf"
    assert fid["samples"]["n"] == 20
    assert fid["uncertainty"]["low"] < fid["value"] < fid["uncertainty"]["high"]
    assert fid["noise_floor"]["mean"] > 0
    assert inception["std"] is not None
    features = [
        np.load(Path(world.embed(world.sample(given, name)).folder) / "pooled.npy")
        for given, name in ((fake, "fake"), (real, "real"))
    ]
    assert fid["value"] == frechet_distance(*features)
    assert "fid:standin" in capsys.readouterr().out


def test_features_are_kept_by_content(world: EvaluationProject, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = noise(20)
    np.save("fake.npy", fake)
    wanted = ["--protocol", "is:imagenet", "--cache", "cache"]
    first = score(world, "fake.npy", *wanted)
    assert len(list(Path("cache").iterdir())) == 1
    with monkeypatch.context() as patched:
        patched.setattr("t2i_repro.metrics.standalone_features.extract", lambda *_: pytest.fail("extracted again"))
        assert score(world, "fake.npy", *wanted) == first
    fake[3, 0, 0, 0] ^= 1
    np.save("fake.npy", fake)
    assert score(world, "fake.npy", *wanted)[0]["value"] != first[0]["value"]
    assert len(list(Path("cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (noise(20).astype(np.float32) * np.nan, "NaN among them; expected uint8"),
        (noise(20)[:, :12], "found uint8 (20, 12, 16, 3)|is 16 x 12 px"),
        (np.zeros((20, 16, 16, 3), dtype=np.uint8), "all 20 images have the same features"),
    ],
)
def test_broken_images_are_refused(
    world: EvaluationProject, images: np.ndarray, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("fake.npy", images)
    given = ["score", "--samples", "fake.npy", "--images", "20", "--protocol", "is:imagenet"]
    assert main([*given, "--network", f"inception-tf={world.network.folder}"]) == 2
    error = capsys.readouterr().err
    assert any(part in error for part in message.split("|"))


def test_what_is_odd_is_refused_or_counted(world: EvaluationProject, capsys: pytest.CaptureFixture[str]) -> None:
    images = noise(20)
    images[1] = images[0]
    images[2] = 7
    write(Path("lossy"), images, "jpg")
    write(Path("fake"), images)
    assert main(["score", "--samples", "lossy", "--images", "20", "--protocol", "ms-ssim:pairs"]) == 2
    assert "20 of 20 images are in lossy formats" in capsys.readouterr().err
    assert main(["score", "--samples", "fake", "--protocol", "ms-ssim:pairs"]) == 2
    assert "asks 30000 images, there are 20 in fake" in capsys.readouterr().err
    assert main(["score", "--samples", "fake", "--images", "20", "--protocol", "fid:nonsense"]) == 2
    assert "allowed: is:finetuned" in capsys.readouterr().err
    assert main(["score", "--samples", "fake", "--images", "20", "--protocol", "is:imagenet"]) == 2
    assert "python -m t2i_repro fetch inception-tf-2015" in capsys.readouterr().err
    (Path("weights-inception-2015-12-05-6726825d.pth")).write_bytes(b"other")
    assert main(["score", "--samples", "fake", "--images", "20", "--protocol", "is:imagenet"]) == 2
    assert "expected 6726825d0af5" in capsys.readouterr().err
    found = score(world, "fake", "--protocol", "is:imagenet")[0]["samples"]
    assert (found["duplicates"], found["constant"], found["lossy"]) == (1, 1, 0)


@pytest.mark.parametrize("network", ["inception-tf", "inception=results"])
def test_networks_that_are_not_named_are_refused(
    world: EvaluationProject, network: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("fake.npy", noise(20))
    assert main(["score", "--samples", "fake.npy", "--protocol", "is:imagenet", "--network", network]) == 2
    assert f"--network: found '{network}'; expected NAME=FOLDER with a NAME of imagenet, " in capsys.readouterr().err


def test_protocols_are_checked(world: EvaluationProject, capsys: pytest.CaptureFixture[str]) -> None:
    params = Path("params.yaml")
    text = params.read_text()
    assert text.count("network: inception-tf, splits: 10}") == 1
    params.write_text(text.replace("network: inception-tf, splits: 10}", "network: inception-tf, split: 10}"))
    np.save("fake.npy", noise(20))
    assert main(["score", "--samples", "fake.npy", "--protocol", "fid:tf"]) == 2
    assert "params.yaml: protocols.is:imagenet: unknown key 'split' (value 10)" in capsys.readouterr().err


def test_what_a_protocol_compares_with_is_asked_for(
    world: EvaluationProject, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("fake.npy", noise(20))
    for protocol, flag in (("fid:tf", "--real IMAGES"), ("r-precision:clip", "--captions FILE")):
        assert main(["score", "--samples", "fake.npy", "--images", "20", "--protocol", protocol]) == 2
        assert f"{protocol}: give {flag}" in capsys.readouterr().err


def test_real_images_are_brought_to_the_samples_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    small = fitted(pixels, 20)
    expected = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BILINEAR))[:, 5:25]
    np.testing.assert_array_equal(small, expected)


def test_no_images(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="holds no image"):
        open_source(tmp_path)
    with pytest.raises(ReproError, match="expected a folder"):
        open_source(tmp_path / "absent")
