"""`t2i-repro show`: what it prints is what a run is planned with, and where it was set."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from raw_data import write_cub

from t2i_repro.cli import main
from t2i_repro.core.config import load_params
from t2i_repro.core.record import write_json
from t2i_repro.planning import counts
from t2i_repro.planning.graph import Graph
from t2i_repro.planning.origins import Origins, leaves, values_of
from t2i_repro.planning.show import format_value, protocol_sections, system_sections, training_images
from t2i_repro.registry.systems import NoEntryError

Show = Callable[..., str]
STANDIN = {"train_classes": 12, "test_classes": 6, "images_per_class": 10, "side": 96, "seed": 0}


@pytest.fixture
def show(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """What the command prints, or with its error."""
    monkeypatch.chdir(project)

    def run(*arguments: str) -> str:
        status = main(["show", *arguments])
        captured = capsys.readouterr()
        assert (status == 0) == (captured.err == "")
        return captured.out + captured.err

    return run


def row(text: str, label: str) -> tuple[str, str]:
    """Value and origin of the first row of this label."""
    found = re.search(rf"^  {re.escape(label)} {{2,}}(\S.*?)(?: {{2,}}(\S.*))?$", text, re.MULTILINE)
    assert found is not None, f"no row {label!r} in\n{text}"
    return found[1], found[2] or ""


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_every_system_is_shown_as_it_is_planned(project: Path, scale: str) -> None:
    """On every dataset it is defined on; and nothing that a run is planned with is left out."""
    overrides = {"scale": scale, "standin": STANDIN}
    graph = Graph(project, overrides)
    origins = Origins(graph, overrides)
    seen = 0
    for name in graph.systems:
        for dataset in graph.params["datasets"]:
            try:
                spec = dict(graph.train(name, dataset, seed=0).spec)
            except NoEntryError:
                continue
            values = values_of(origins.system(name, dataset))
            train, _, after = values.pop("train"), spec.pop("seed"), values.pop("after", None)
            assert {"system": values, **train} == spec
            assert after == graph.systems[name].get("after")
            rows = [line for section in system_sections(graph, origins, name, dataset).values() for line in section]
            printed = {(line.value, line.origin) for line in rows}
            for _, setting in leaves(origins.system(name, dataset)):
                assert (format_value(setting.value), setting.origin) in printed
            seen += 1
    assert seen > 2 * len(graph.systems)


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_every_text_encoder_is_shown_as_it_is_planned(project: Path, scale: str) -> None:
    overrides = {"scale": scale, "standin": STANDIN, "damsm": {"epochs": 3}, "scales": {scale: {"itm": {"lr": 0.5}}}}
    graph = Graph(project, overrides)
    for encoder, section in (("damsm", "damsm"), ("itm", "itm"), ("char-cnn-rnn", "char_cnn_rnn")):
        for dataset in graph.params["datasets"]:
            spec = graph.text_encoder(encoder, dataset).spec
            values = values_of(Origins(graph, overrides).section(section, dataset))
            assert {key: values[key] for key in spec} == spec


def test_the_learning_rate_of_dm_gan_on_cub(show: Show) -> None:
    """And the rest of its training, by hand: 8,855 images // 10 are 885 steps, in 800 epochs 708,000."""
    text = show("dm-gan", "cub", "--scale", "paper")
    assert text.startswith("dm-gan on cub, scale paper: the papers' own scale\n")
    assert row(text, "lr_g") == ("0.0002", "attngan-no-damsm (papers/baselines.yaml)")
    assert row(text, "batch") == ("10", "dm-gan-no-damsm (papers/baselines.yaml)")
    assert row(text, "epochs") == ("800", "dm-gan-no-damsm (papers/baselines.yaml)")
    assert row(text, "optimiser") == ("adam", "attngan-no-damsm (papers/baselines.yaml)")
    assert row(text, "training images") == ("8,855", "official split; the data are not prepared here")
    assert row(text, "steps per epoch")[0] == "885"
    assert row(text, "steps")[0] == "708,000"
    assert row(text, "base")[0] == "dm-gan-no-damsm < attngan-no-damsm"
    assert row(text, "width") == ("64", "dm-gan-no-damsm (papers/baselines.yaml)")
    assert row(text, "stage 1")[0] == "64 px"
    assert row(text, "stage 3.fusion.kind") == ("dynamic-memory", "dm-gan (papers/baselines.yaml)")
    assert row(text, "stage 3.matching.word") == ("5.0", "dm-gan (papers/baselines.yaml)")
    assert row(text, "kl") == ("1.0", "attngan-no-damsm (papers/baselines.yaml)")
    assert row(text, "hidden") == ("128", "params.yaml: damsm")


def test_defaults_and_constants_of_the_code_are_printed(show: Show) -> None:
    text = show("ssa-gan-tuned-text", "cub", "--scale", "paper")
    assert row(text, "noise") == ("100", "default")
    assert row(text, "mask_hidden") == ("100", "default")
    assert row(text, "ma_gp_weight") == ("2.0", "in code")
    assert row(text, "ma_gp_power") == ("6.0", "in code")
    assert row(text, "text_lr") == ("4e-05", "in code")
    assert row(text, "text_betas") == ("[0.0, 0.9]", "in code")
    text = show("hdgan", "cub", "--scale", "smoke")
    assert row(text, "latent") == ("16", "params.yaml: scales.smoke.system.nested")
    assert "halve_every" not in show("dm-gan", "cub", "--scale", "smoke")


def test_a_datasets_own_values_say_so(show: Show) -> None:
    text = show("gr-gan", "coco", "--scale", "paper")
    assert row(text, "batch") == ("8", "dm-gan-itm, on: coco (papers/gr-gan.yaml)")
    assert row(text, "residual") == ("3", "dm-gan-no-damsm, on: coco (papers/baselines.yaml)")
    assert row(text, "epochs") == ("300", "dm-gan-itm (papers/gr-gan.yaml)")
    assert row(text, "stage 3.matching.sentence") == ("4.0", "gr-gan (papers/gr-gan.yaml)")


def test_a_scales_own_values_say_so(show: Show) -> None:
    text = show("dm-gan", "cub", "--scale", "smoke")
    assert row(text, "image_size") == ("64", "params.yaml: scales.smoke.shrink")
    assert row(text, "lr_g") == ("0.001", "params.yaml: scales.smoke.train")
    assert row(text, "epochs") == ("3", "params.yaml: scales.smoke.system.multi-stage")
    assert row(text, "ema") == ("0.999", "attngan-no-damsm (papers/baselines.yaml)")
    assert row(text, "training images") == ("120", "stand-in data (params.yaml: standin)")
    assert row(text, "steps")[0] == "30"


def test_settings_of_the_call_say_so(show: Show) -> None:
    scales = "scales={smoke: {shrink: 2, train: {epochs: 7}, system: {one-stage: {matching: {damsm: 0.5}}}}}"
    text = show("ssa-gan", "cub", "--set", "scale=smoke", "--set", scales)
    assert row(text, "epochs") == ("7", "--set")
    assert row(text, "image_size") == ("128", "--set")
    assert row(text, "matching.damsm") == ("0.5", "--set")
    assert row(text, "matching.gamma1") == ("5.0", "df-gan (papers/baselines.yaml)")
    assert row(text, "batch") == ("12", "params.yaml: scales.smoke.train")
    assert row(text, "width") == ("8", "params.yaml: scales.smoke.system.one-stage")
    assert row(text, "optimiser") == ("adam", "default")
    section = "char_cnn_rnn={dim: 32, form: printed}"
    text = show("hdgan", "cub", "--set", section, "--set", "scales={smoke: {char_cnn_rnn: {decay: 0.5}}}")
    assert row(text, "dim") == ("32", "--set")
    assert row(text, "form") == ("printed", "--set")
    assert row(text, "decay") == ("0.5", "--set")
    assert row(text, "lr") == ("0.002", "params.yaml: scales.smoke.char_cnn_rnn")


@pytest.mark.parametrize(("name", "dataset"), [("df-gan", "cub"), ("hdgan", "cub"), ("stackgan-plus-plus", "oxford")])
def test_parameters_are_those_of_the_count(show: Show, name: str, dataset: str) -> None:
    graph = Graph(Path("."), {"scale": "paper"})
    counted = counts.count(name, dataset, graph.system(name, dataset))
    text = show(name, dataset, "--scale", "paper")
    assert row(text, "generator")[0] == f"{counted.generator:,}"
    assert row(text, "discriminators")[0] == counts.format_count(counted.discriminators)


def test_prepared_data_are_counted(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four training images, as CUB's lists in that folder say, once they are prepared; until then the official ones."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    write_cub(tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    graph = Graph(Path("."), {"scale": "paper", "data_root": str(tmp_path / "raw")})
    assert training_images(graph, "cub", 256) == (8_855, "official split; the data are not prepared here")
    node = graph.prepare("cub", 256)
    Path(node.spec_file).parent.mkdir(parents=True)
    write_json(Path(node.spec_file), node.to_json())
    assert main(["prepare", "--spec", node.spec_file]) == 0
    assert training_images(graph, "cub", 256) == (4, f"prepared data: {Path(node.folder).name}")


def test_every_protocol_is_shown(project: Path) -> None:
    overrides = {"scale": "paper"}
    graph = Graph(project, overrides)
    origins = Origins(graph, overrides)
    for name, protocol in load_params(project)["protocols"].items():
        sections = protocol_sections(graph, origins, name)
        printed = {line.value for section in sections.values() for line in section}
        assert {format_value(value) for value in protocol.values() if not isinstance(value, dict)} <= printed
        assert sections["Columns"]


def test_a_protocol_by_hand(show: Show) -> None:
    text = show("r-precision:damsm", "--scale", "paper")
    assert row(text, "network") == ("damsm", "params.yaml: protocols")
    assert row(text, "samples.images") == ("30000", "params.yaml: sample")
    assert row(text, "candidates") == ("100", "params.yaml: protocols")
    assert row(text, "compat") == ("false", "default")
    assert row(text, "msmt-gan table1")[0] == "R-prcn, cub"
    smoke = show("fid:tf", "--scale", "smoke")
    assert row(smoke, "samples.images") == ("120", "params.yaml: scales.smoke.sample")
    assert row(smoke, "networks.inception-tf.source") == ("classifier", "params.yaml: scales.smoke.networks")
    assert "a stand-in at this scale" in smoke
    assert row(smoke, "msmt-gan table1")[0] == "FID, cub"
    assert row(show("is:finetuned"), "icsd-gan fig6")[0] == "cub"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dm-gna", "cub"), "found 'dm-gna'; expected a system or a protocol, such as dm-gan, "),
        (("fid:ft",), "such as fid:tf, "),
        (("dm-gan",), "found no dataset after dm-gan; expected one of cub, oxford, coco"),
        (("dm-gan", "birds"), "found dataset 'birds' after dm-gan; expected one of cub, oxford, coco"),
        (("fid:tf", "cub"), "found dataset 'cub' after protocol fid:tf; leave it out"),
        (("dm-gan", "cub", "--scale", "huge"), "scale: found 'huge'; allowed: paper, small, smoke"),
        (("hdgan", "cub", "--set", "seedz=[1]"), "unknown key 'seedz'"),
    ],
)
def test_what_does_not_exist_is_refused(show: Show, arguments: tuple[str, ...], message: str) -> None:
    assert message in show(*arguments)


def test_a_system_that_a_dataset_lacks(project: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    path = tmp_path / "papers/baselines.yaml"
    path.write_text(path.read_text().replace("epochs: {cub: 600, oxford: 600, coco: 200}", "epochs: {cub: 600}"))
    monkeypatch.chdir(tmp_path)
    assert main(["show", "gan-int-cls", "coco"]) == 2
    assert (
        "gan-int-cls is not defined on coco: systems.gan-int-cls.train.epochs has no entry" in capsys.readouterr().err
    )
