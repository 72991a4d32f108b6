"""What no paper and no code settles is called our reading under each table that shows it (docs/divergences.md)."""

from pathlib import Path
from typing import Any

from project_datasets import DATASETS

from t2i_repro.registry.papers import load_registry
from t2i_repro.registry.systems import resolve_systems

# Beside those with a block that was never published.
OURS = {
    *("attngan-damsm-grg", "attngan-itm", "attngan-itm-grg", "dm-gan-damsm-grg", "gr-gan-i-w-s", "gr-gan-s-w-i"),
    *("stackgan-plus-plus", "gan-int-cls", "hdgan-no-image-loss", "hdgan-global-image-loss"),
    *("hdgan-256", "hdgan-128-256", "hdgan-64-256", *(f"ssa-gan-{masks}-masks" for masks in range(2, 7))),
}
UNPUBLISHED = {"attention-modulation", "n-gram", "spatial-memory"}


def is_ours(name: str, system: dict[str, Any]) -> bool:
    stages = system.get("stages", ())
    kinds = {stage.get(part, {}).get("kind") for stage in stages for part in ("initial", "fusion")}
    return name in OURS or bool(kinds & UNPUBLISHED)


def test_rows_that_rest_on_our_reading_say_so(project: Path) -> None:
    registry = load_registry(project)
    papers, systems = registry.papers, resolve_systems(registry.definitions, DATASETS)
    assert set(systems) >= OURS
    checked = set()
    for paper in papers.values():
        for table_id, table in paper["tables"].items():
            for entry in (*table["rows"].values(), *table["columns"].values()):
                name = entry.get("system")
                if name is not None and is_ours(name, systems[name]):
                    said = f"{entry.get('note', '')} {table.get('note', '')}".lower()
                    assert "our reading" in said, f"{paper['id']}: {table_id}: {entry['label']}"
                    checked.add(name)
    assert checked == {name for name, system in systems.items() if is_ours(name, system)}
