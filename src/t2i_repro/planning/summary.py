"""What `t2i-repro plan` says of a forecast, by label."""

from t2i_repro.data.fetch import assets
from t2i_repro.data.layout import layouts
from t2i_repro.models.text_encoder import artefact_kinds
from t2i_repro.planning.devices import on_card
from t2i_repro.planning.forecast import Forecast, runs_behind
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.units import format_count, format_duration, format_hours, format_size

# Kinds of artefacts by what their bytes are.
DISK = {
    "data": ("standin", "prepare"),
    "weights": ("asset",),
    "encoders": ("classifier", *sorted(artefact_kinds())),
    "runs": ("train", "import-run"),
    "samples": ("sample", "import-samples"),
    "features": ("embed",),
}


def amounts(forecast: Forecast) -> dict[str, str]:
    """What is trained, generated, stored and downloaded, whether or not it is built."""
    found: dict[str, str] = {}
    if runs := forecast.of_kind("train"):
        works = [forecast.work(node) for node in runs]
        steps, images = sum(work.steps for work in works), sum(work.images for work in works)
        shared = sum(len(names) > 1 for names in runs_behind(forecast).values())
        heaviest = max(runs, key=lambda node: forecast.work(node).memory)
        found["trainings"] = f"{len(runs)}, of which {shared} serve several tables or figures"
        found["steps"] = f"{format_count(steps)}, on {format_count(images)} images"
        found["peak memory"] = f"{format_size(forecast.work(heaviest).memory)} by {heaviest.name}, without workspace"
    encoders = [node for node in forecast.nodes if on_card(node) and node.kind not in ("train", "sample", "embed")]
    if encoders:
        steps = sum(forecast.work(node).steps for node in encoders)
        found["encoders"] = f"{len(encoders)} to train, {format_count(steps)} steps"
    if samples := forecast.of_kind("sample"):
        found["samples"] = samples_of(forecast, len(samples))
    disk = {name: sum(forecast.work(node).disk for node in forecast.of_kind(*kinds)) for name, kinds in DISK.items()}
    parts = ", ".join(f"{name} {format_size(size)}" for name, size in disk.items() if size)
    found["disk"] = f"{format_size(sum(disk.values()))}: {parts}"
    if downloads := downloads_of(forecast):
        found["downloads"] = downloads
    return found


def samples_of(forecast: Forecast, count: int) -> str:
    works = [forecast.work(node) for node in forecast.of_kind("sample")]
    images, side = sum(work.images for work in works), max(work.side for work in works)
    alike, stored = format_size(3 * side * side * images), format_size(sum(work.disk for work in works))
    return f"{count} of {images // count:,} images: {alike} at {side} px; {stored} as stored, stages included"


def times(forecast: Forecast) -> dict[str, str]:
    """How long it takes to build what is not built."""
    device, cards, factor = forecast.device, forecast.cards, forecast.device.factor
    at_a_time = f"{cards} card{'s' * (cards > 1)}" if device.card else f"{forecast.cores} cores"
    hours, wall = forecast.card_seconds / 3600, forecast.wall
    found = {
        "device": f"{device.name}: {device.label}",
        "": device.source,
        "GPU-hours" if device.card else "core-hours": f"{format_hours(hours)} "
        f"({format_hours(hours / factor)} to {format_hours(hours * factor)})",
        "wall time": f"{format_duration(wall)} with {at_a_time} "
        f"({format_duration(wall / factor)} to {format_duration(wall * factor)})",
    }
    runs = [node for node in forecast.todo if node.kind == "train"]
    if runs:
        longest = max(runs, key=lambda node: forecast.times[node.record])
        steps, time = forecast.work(longest).steps, forecast.times[longest.record]
        each = f" of {time / steps:.2g} s" if steps else ""
        found["longest run"] = f"{longest.name}: {format_count(steps)} steps{each}, {format_duration(time)}"
    if guessed := sum(forecast.work(node).guessed for node in runs):
        found["guessed"] = f"{guessed} trainings, from others of their family; python benchmarks/flops.py counts them"
    return found


def downloads_of(forecast: Forecast) -> str:
    """Archives of the datasets that are not here, and weights that are not built."""
    weights = sum(forecast.work(node).download for node in forecast.todo if node.kind == "asset")
    data, unstated = archives(forecast.planner, forecast.absent)
    parts = [f"weights {format_size(weights)}"] if weights else []
    parts += [f"{name} {format_size(size)}" for name, size in data.items()]
    return ", ".join(parts) + (f"; of unstated size: {', '.join(unstated)}" if unstated else "")


def archives(planner: Planner, datasets: list[str]) -> tuple[dict[str, int], list[str]]:
    """Bytes of the archives of datasets by name, and the archives whose size the table of downloads does not state."""
    sizes: dict[str, int] = {}
    unstated: list[str] = []
    for dataset in datasets:
        entry = planner.params["datasets"][dataset]
        if "folder" in entry:
            continue
        other_years = [year for year in layouts()[entry["layout"]].years if year != entry.get("year")]
        for name, archive in assets().items():
            if name.startswith(f"{entry['layout']}-") and not any(str(year) in name for year in other_years):
                sizes[dataset] = sizes.get(dataset, 0) + (archive["size"] or 0)
                unstated += [name] if archive["size"] is None else []
    return sizes, unstated
