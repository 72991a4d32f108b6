"""`python -m t2i_repro params`: the counts of the reference files, by one command."""

import csv
import io
from pathlib import Path

import pytest

from t2i_repro.cli import main

# (system, dataset): generator, discriminators, and what the released code owns where that is more.
EXACT = {
    ("attngan", "cub"): (7_084_592, "6313730 19424002 71858946"),
    ("attngan", "coco"): (13_811_456, "13304450 42800258 160774274"),
    ("dm-gan", "cub"): (21_449_042, "1878242 5155810 18264546"),
    ("dm-gan", "coco"): (22_335_314, "1878242 5155810 18264546"),
    ("gr-gan", "coco"): (22_503_762, "694241 5741537 18850273"),
    ("ssa-gan", "cub"): (29_494_273, "78280326"),
    ("df-gan (released, width 32)", "cub"): (12_240_010, "19645254"),
    ("hdgan", "cub"): (41_378_496, "8510466 8582722 8600418"),
    ("stackgan-plus-plus", "cub"): (21_239_696, "5723906 18834178 71269122"),
}
SHARED = {
    "text encoder, cub": 2_075_320,
    "text encoder, coco": 8_629_420,
    "DAMSM image encoder": 22_506_720,
    "DAMSM image encoder, trained": 721_152,
    "ITM on CLIP RN101": 121_001_313,
    "ITM head, trained": 1_313_280,
    "char-CNN-RNN": 4_045_184,
}


@pytest.fixture(scope="module")
def printed(project: Path) -> str:
    from contextlib import redirect_stdout

    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["params", "--project", str(project)]) == 0
    return out.getvalue()


@pytest.fixture(scope="module")
def rows(printed: str) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["system"], row["dataset"]): row for row in csv.DictReader(io.StringIO(printed))}


@pytest.mark.parametrize("key", EXACT)
def test_networks(rows: dict[tuple[str, str], dict[str, str]], key: tuple[str, str]) -> None:
    generator, discriminators = EXACT[key]
    assert (int(rows[key]["generator"]), rows[key]["discriminators"]) == (generator, discriminators)


def test_what_the_released_code_owns(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    assert rows["gr-gan", "coco"]["released"] == "2468066 5741537 18850273"
    assert rows["ssa-gan", "cub"]["released"] == "80379526"


def test_shared_encoders(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    assert {name: int(rows[name, ""]["text"]) for name in SHARED} == SHARED


def test_msmt_gan_table_2(rows: dict[tuple[str, str], dict[str, str]]) -> None:
    """Printed in millions: 9.16 / 22.43, 23.52 / 30.96, 14.32 / 20.87 (width 32), 48.11 / 55.16."""
    names = ("attngan", "dm-gan", "df-gan (released, width 32)", "msmt-gan")
    found = {name: tuple(int(rows[name, dataset]["test_time"]) for dataset in ("cub", "coco")) for name in names}
    assert found == {
        "attngan": (9_159_912, 22_440_876),
        "dm-gan": (23_524_362, 30_964_734),
        "df-gan (released, width 32)": (14_315_330, 20_869_430),
        "msmt-gan": (47_645_607, 54_698_523),
    }
