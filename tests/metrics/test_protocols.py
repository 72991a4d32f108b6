"""Every column of every table has a protocol, and every protocol a way to be computed."""

import re
from pathlib import Path

import numpy as np
import pytest

from t2i_repro.core.config import load_params
from t2i_repro.errors import ReproError
from t2i_repro.metrics import cross_modal_distance, frechet_distance, r_precision
from t2i_repro.metrics.features import Features, captions_of, rows_of
from t2i_repro.metrics.registry import metrics
from t2i_repro.planning.evaluation import score
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_papers, measured_in

PROJECT = Path(__file__).parents[2]


def columns() -> list[str]:
    found = set()
    for paper in load_papers(PROJECT).values():
        for table in paper["tables"].values():
            for row in table["rows"].values():
                found |= {measured_in(row, column)["protocol"] for column in table["columns"].values()}
    return sorted(found)


def test_every_column_of_every_table_has_a_protocol() -> None:
    protocols = load_params(PROJECT)["protocols"]
    assert not [name for name in columns() if name not in protocols]
    assert {entry["metric"] for entry in protocols.values()} == set(metrics())


def test_every_protocol_is_planned_for_a_run() -> None:
    planner = Planner(PROJECT)
    run = planner.train("ssa-gan", "cub", 0)
    for name, entry in planner.params["protocols"].items():
        metric = metrics()[entry["metric"]]
        network = "damsm" if metric.compares_networks else None
        node = score(planner, None if metric.of_data else run, name, "cub", network)
        assert node.inputs
        known = {planned.folder for planned in planner.nodes.values()}
        assert {given.path for given in node.inputs.values()} <= known


def test_a_ranking_network_is_trained_on_the_training_split_alone() -> None:
    planner = Planner(PROJECT)
    node = score(planner, planner.train("ssa-gan", "cub", 0), "vs-similarity", "cub")
    ranked = next(planned for planned in planner.nodes.values() if planned.folder == node.inputs["judge"].path)
    inputs = planner.inputs_of(ranked)
    assert {given.spec["split"] for given in inputs.values()} == {"train"}
    assert planner.inputs_of(node)["captions"].spec["split"] == "test"
    readers = [planner.inputs_of(given["captions"])["network"].kind for given in (inputs, planner.inputs_of(node))]
    assert readers == ["char-cnn-rnn"] * 2  # what HDGAN's released ranking network reads


def test_ground_truth_is_scored_as_samples_are() -> None:
    planner = Planner(PROJECT, overrides={"papers": ["hdgan"]})
    cells = planner.inputs_of(planner.table("hdgan", "table4"))
    real, fake = cells["ground-truth/cub/0"], cells["hdgan/cub/0"]
    features = planner.inputs_of(real)["features"]
    assert (features.spec["split"], planner.inputs_of(features)["images"].kind) == ("test", "prepare")
    assert {role: real.inputs[role] for role in ("judge", "captions")} == {
        role: fake.inputs[role] for role in ("judge", "captions")
    }


def test_the_caption_of_a_real_image_is_its_first() -> None:
    def features(origin: list[list[int]]) -> Features:
        empty = np.zeros((len(origin), 1), dtype=np.float32)
        return Features(Path(), {"facts": {}}, empty, None, np.array(origin, dtype=np.int64))

    captions = features([[4, 21, 0], [4, 20, 0], [2, 12, 1], [2, 10, 1], [2, 11, 1]])
    np.testing.assert_array_equal(captions_of(features([[2, -1, 1], [4, -1, 0]]), captions), [10, 20])
    np.testing.assert_array_equal(captions_of(features([[4, 21, 0], [2, 12, 1]]), captions), [21, 12])
    with pytest.raises(ReproError, match="image 3 of the samples"):
        captions_of(features([[3, -1, 0]]), captions)


def documented() -> dict[str, set[tuple[str, int]]]:
    """Of each protocol in a table below a heading of docs/metrics.md: (paper, table) that it says printed numbers."""
    found: dict[str, set[tuple[str, int]]] = {}
    for section in re.split(r"^### ", (PROJECT / "docs/metrics.md").read_text(), flags=re.MULTILINE)[1:]:
        for line in section.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("| `") or len(cells) != 3:
                continue
            said = re.findall(r"([A-Z][A-Z-]+) Tables? ((?:\d+(?: \([a-z]+\))?(?:, )?)+)", cells[2])
            printed = {(paper.lower(), int(table)) for paper, tables in said for table in re.findall(r"\d+", tables)}
            for name in re.findall(r"`([^`]+)`", cells[0]):
                assert name not in found, f"{name} is there twice"
                found[name] = printed
    return found


def test_each_protocol_is_documented_with_who_printed_numbers_by_it() -> None:
    printed: dict[str, set[tuple[str, int]]] = {name: set() for name in load_params(PROJECT)["protocols"]}
    for paper_id, paper in load_papers(PROJECT).items():
        for table_id, table in paper["tables"].items():
            for row in table["rows"].values():
                for column_id in row["printed"]:
                    protocol = measured_in(row, table["columns"][column_id])["protocol"]
                    printed[protocol].add((paper_id, int(re.sub(r"\D", "", table_id))))
    assert documented() == printed


def test_shuffled_captions_drop_r_precision_to_chance() -> None:
    rng = np.random.default_rng(0)
    captions = rng.standard_normal((2000, 64))
    own = np.arange(2000)
    images = captions + 0.5 * rng.standard_normal((2000, 64))
    groups = np.arange(2000) // 10
    assert r_precision(images, captions, own, groups).value > 0.95
    found = r_precision(images, captions, rng.permutation(own), groups)
    assert found.low < 0.01 < found.high


@pytest.mark.parametrize("distance", ["frechet", "cmd"])
def test_noise_raises_distances(distance: str) -> None:
    rng = np.random.default_rng(1)
    real, text = rng.standard_normal((400, 16)) + 1, rng.standard_normal((300, 16))
    noise = rng.standard_normal((400, 16))
    values = []
    for level in (0.0, 0.3, 0.6, 1.2):
        fake = real + level * noise
        values.append(
            frechet_distance(fake, real) if distance == "frechet" else cross_modal_distance(fake, real, text).cmd
        )
    assert values[0] == 0
    assert values == sorted(values)
    assert len(set(values)) == 4


def test_rows_are_found_by_id() -> None:
    known = np.array([7, 3, 9])
    np.testing.assert_array_equal(rows_of(known, np.array([9, 7, 7]), "caption"), [2, 0, 0])
    with pytest.raises(ReproError, match="caption 4 of the samples is not among the 3"):
        rows_of(known, np.array([3, 4]), "caption")
    with pytest.raises(ReproError, match="caption 3 is there twice"):
        rows_of(np.array([3, 3]), np.array([3]), "caption")
