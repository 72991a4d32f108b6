"""params.yaml: overrides, scales and values by dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from t2i_repro.core.config import (
    for_dataset,
    load_params,
    merged,
    parse_settings,
    resolve_scale,
    typed,
    with_overrides,
)
from t2i_repro.core.schema import read_yaml
from t2i_repro.errors import ReproError


def test_a_scale_overrides_key_by_key_but_replaces_networks(project: Path) -> None:
    smoke = resolve_scale(load_params(project))
    assert smoke["damsm"]["image_size"] == 64
    assert smoke["damsm"]["gamma3"] == 10.0
    assert smoke["networks"]["inception-tf"] == {"source": "classifier", "split": "test", "trunk": "standin"}
    paper = resolve_scale(load_params(project, {"scale": "paper"}))
    assert paper["damsm"]["image_size"] == 299
    assert paper["networks"]["inception-tf"]["source"] == "asset"


def test_merged_overrides_key_by_key_and_shares_nothing() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}
    assert merged({"a": [1, 2]}, {"a": [3]}) == {"a": [3]}
    base: dict[str, object] = {"a": [1], "b": {"c": [2]}}
    merged(base, {"b": {"d": 0}})["b"]["c"].append(3)
    assert base == {"a": [1], "b": {"c": [2]}}


def test_any_section_of_a_scale_overrides_the_section_of_its_name() -> None:
    """A new text encoder brings a section of its own."""
    scale = {"label": "tiny", "datasets": ["cub"], "shrink": 2, "train": {"epochs": 1}, "my_encoder": {"dim": 8}}
    params = {"scale": "tiny", "scales": {"tiny": scale}, "my_encoder": {"dim": 64, "lr": 0.1}, "datasets": {"cub": {}}}
    resolved = resolve_scale(params)
    assert resolved["my_encoder"] == {"dim": 8, "lr": 0.1}
    assert resolved["datasets"] == {"cub": {}}
    assert resolved["scale_datasets"] == ["cub"]
    assert resolved["over_systems"] == {"system": {}, "train": {"epochs": 1}, "shrink": 2}


def test_a_value_by_dataset_has_an_entry_a_default_or_an_error() -> None:
    assert for_dataset(5, "cub", "damsm.words") == 5
    assert for_dataset({"default": 18, "coco": 15}, "coco", "damsm.words") == 15
    assert for_dataset({"default": 18, "coco": 15}, "birds", "damsm.words") == 18
    with pytest.raises(ReproError, match=r"damsm\.words has no entry for dataset 'birds', only for cub; add `birds: "):
        for_dataset({"cub": 18}, "birds", "damsm.words")


@pytest.mark.parametrize(
    "overrides", [{"damsm": {"epochs": {"cocoo": 5}}}, {"scales": {"smoke": {"damsm": {"epochs": {"cocoo": 5}}}}}]
)
def test_a_misspelt_dataset_is_refused(project: Path, overrides: dict[str, Any]) -> None:
    with pytest.raises(ReproError, match=r"damsm\.epochs: found dataset 'cocoo'; allowed: default, cub, oxford, coco"):
        load_params(project, overrides)


Keys = tuple[str, ...]


def leaves(tree: Any, path: Keys = ()) -> Iterator[Keys]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def nested(path: Keys, value: object) -> Any:
    return nested(path[:-1], {path[-1]: value}) if path else value


def at(tree: Any, path: Keys) -> Any:
    return at(tree[path[0]], path[1:]) if path else tree


@pytest.mark.parametrize("scale", ["smoke", "small", "paper"])
def test_the_command_line_wins_over_the_scale_which_wins_over_the_file(project: Path, scale: str) -> None:
    """For every key of every section, those included that only a scale has."""
    params = {**read_yaml(project / "params.yaml"), "scale": scale}
    sections = params.keys() - {"scale", "scales"}
    over = params["scales"][scale]
    paths = {path for name in sections for path in leaves(params[name], (name,))}
    paths |= {path for name in sections & over.keys() for path in leaves(over[name], (name,))}
    assert len(paths) > 150
    for path in paths:
        marker = ["what the user gave"]
        resolved = resolve_scale(with_overrides(params, nested(path, marker)))
        assert at(resolved, path) == marker, path
    resolved = resolve_scale(params)
    for name in sections & over.keys() - {"datasets"}:
        for path in leaves(over[name]):
            assert at(resolved[name], path) == at(over[name], path)


def test_an_override_that_equals_the_file_still_wins_over_the_scale(project: Path) -> None:
    assert resolve_scale(load_params(project))["sample"]["images"] == 120
    assert resolve_scale(load_params(project, {"sample": {"images": 30000}}))["sample"]["images"] == 30000


def test_an_override_of_another_scale_is_an_error(project: Path) -> None:
    over = {"scales": {"paper": {"sample": {"images": 5}}}}
    with pytest.raises(ReproError, match=r"scales\.paper: overridden, but the scale is 'smoke'"):
        load_params(project, over)
    assert resolve_scale(load_params(project, {**over, "scale": "paper"}))["sample"]["images"] == 5


def test_settings_of_one_section_add_up() -> None:
    assert parse_settings(["sample={images: 60}", "sample={seed: 1}"]) == {"sample": {"images": 60, "seed": 1}}


def test_settings_are_pairs_of_yaml() -> None:
    found = parse_settings(["scale=paper", "papers=[hdgan]", "sample={images: 60}"])
    assert found == {"scale": "paper", "papers": ["hdgan"], "sample": {"images": 60}}
    for wrong in ("scale", "=paper"):
        with pytest.raises(ReproError, match=f"--set: found '{wrong}'; expected KEY=VALUE"):
            parse_settings([wrong])
    with pytest.raises(ReproError, match=r"--set papers=.*cannot be read as YAML"):
        parse_settings(["papers=[hdgan"])


def test_nested_text_of_an_override_is_yaml() -> None:
    """Snakemake parses only the outermost value of --config."""
    assert typed({"images": "60", "split": "test"}, {"images": 5, "split": "test"}) == {"images": 60, "split": "test"}
    assert typed({"label": "1.0"}, {"label": "1.0"}) == {"label": "1.0"}


def test_a_path_may_begin_with_the_home_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    provenance = {"by": "a", "from": "b", "date": "2021"}
    theirs = {"source": "samples", "path": "~/images.zip", "captions": "~/captions.csv", "provenance": provenance}
    params = load_params(project, {"data_root": "~/data", "outside": {"cub/x": theirs}})
    assert params["data_root"] == "/somewhere/data"
    entry = params["outside"]["cub/x"]
    assert (entry["path"], entry["captions"]) == ("/somewhere/images.zip", "/somewhere/captions.csv")
