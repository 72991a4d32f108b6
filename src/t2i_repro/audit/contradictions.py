"""Contradictions inside a paper and disagreements between papers, found from the printed numbers alone."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from t2i_repro.errors import ReproError
from t2i_repro.metrics.registry import metric_of_quantities
from t2i_repro.registry.papers import measured_in
from t2i_repro.registry.printed import Cell, cells
from t2i_repro.registry.systems import Definitions, resolve_bases

WORTH_LISTING = 0.05  # spread from which on numbers of several papers count as a disagreement


@dataclass(frozen=True)
class Print:
    """A printed number and where it is printed."""

    cell: Cell
    system: str
    where: str
    row: str
    column: str

    @property
    def place(self) -> str:
        """`Sec. 4.2, Table 1, DM-GAN, FID`."""
        return f"{self.where}, {self.row}, {self.column}"


@dataclass(frozen=True)
class Contradiction:
    """Something a paper says that its own numbers contradict. `kind`: printed-twice, mixed-row, longer-is-worse,
    claim-fails."""

    kind: str
    paper: str
    title: str
    says: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """The numbers that several papers print for one system, dataset and metric."""

    system: str
    dataset: str
    metric: str
    prints: tuple[Print, ...]

    @property
    def spread(self) -> float:
        """Largest over smallest value, minus 1."""
        values = [float(one.cell.value or 0) for one in self.prints]
        return max(values) / min(values) - 1 if min(values) > 0 else float(max(values) > min(values))

    @property
    def title(self) -> str:
        """`AttnGAN, CUB, FID`, with the shortest name that a paper gives the system."""
        name = min((re.sub("[¹²³†]", "", one.row) for one in self.prints), key=len)
        return f"{name}, {self.dataset.upper()}, {self.metric.upper()}"


def metric_of(protocol: str) -> str:
    """What a protocol measures, without its feature extractor: `fid` of `fid:tf`, `fid 64px` of `fid:tf-64px`."""
    name, _, rest = protocol.partition(":")
    if metric_of_quantities(protocol) is not None:
        return protocol
    size = re.search(r"[0-9]+px$", rest)
    return f"{name} {size[0]}" if size else name


def prints(papers: dict[str, dict[str, Any]]) -> Iterator[Print]:
    """Every printed number of a system on a dataset, bounds left out. A row is its system's, or else the one of its
    name: rows that no system rebuilds have the same name in every paper."""
    for cell in cells(papers):
        if cell.value is None or cell.bound or cell.protocol is None or cell.dataset is None:
            continue
        table = papers[cell.paper]["tables"][cell.table]
        row, column = table["rows"][cell.row], table["columns"][cell.column]
        metric = metric_of_quantities(cell.protocol)
        if metric is not None and not metric.of_system:
            continue
        system = measured_in(row, column).get("system", cell.row)
        yield Print(cell, system, table["where"], row["label"], column["label"])


def contradictions(papers: dict[str, dict[str, Any]], definitions: Definitions) -> list[Contradiction]:
    """Find the contradictions inside papers that their numbers show without their text."""
    found = []
    for paper_id, paper in papers.items():
        own = list(prints({paper_id: paper}))
        found += [*printed_twice(paper_id, own), *mixed_rows(paper_id, own)]
    return found + longer_is_worse(papers, definitions)


def group(numbers: list[Print]) -> dict[tuple[str, str, str], list[Print]]:
    """Group prints by (system, dataset, metric)."""
    groups: dict[tuple[str, str, str], list[Print]] = {}
    for one in numbers:
        groups.setdefault((one.system, str(one.cell.dataset), metric_of(str(one.cell.protocol))), []).append(one)
    return groups


def texts(numbers: list[Print]) -> str:
    return " and ".join(dict.fromkeys(one.cell.text() for one in numbers))


def printed_twice(paper: str, own: list[Print]) -> Iterator[Contradiction]:
    """Find systems for which a paper prints several values of one metric on one dataset."""
    for (system, dataset, metric), numbers in group(own).items():
        if len({one.cell.value for one in numbers}) > 1:
            title = f"{system}: two values of {metric.upper()} on {dataset.upper()}"
            says = f"One configuration is printed with {texts(numbers)}."
            yield Contradiction("printed-twice", paper, title, says, tuple(one.place for one in numbers))


def mixed_rows(paper: str, own: list[Print]) -> Iterator[Contradiction]:
    """Find rows whose numbers all occur in another table of the paper, some of them for the row's own system, but not
    in a single row of it."""
    rows: dict[tuple[str, str], list[Print]] = {}
    for one in own:
        rows.setdefault((one.cell.table, one.cell.row), []).append(one)

    def number(one: Print) -> tuple[Any, ...]:
        return (one.cell.dataset, metric_of(str(one.cell.protocol)), one.cell.value, one.cell.std)

    def measures(row: list[Print]) -> set[tuple[Any, ...]]:
        return {number(one)[:2] for one in row}

    for (table, _), row in rows.items():
        for other_table in dict.fromkeys(key[0] for key in rows if key[0] != table):
            others = [other for key, other in rows.items() if key[0] == other_table]
            shared = [one for one in row if all(number(one)[:2] in measures(other) for other in others)]
            homes = [[other for other in others if number(one) in map(number, other)] for one in shared]
            single = any(all(other in home for home in homes) for other in others)
            own_found = any(row[0].system == other[0].system for home in homes for other in home)
            if len(shared) < 2 or single or not all(homes) or not own_found:
                continue
            sources = [(one, home[0]) for one, home in zip(shared, homes, strict=True)]
            says = "; ".join(f"{one.cell.text()} is that of row {home[0].row!r}" for one, home in sources)
            title = f"{row[0].row}: one row out of several of {sources[0][1][0].where}"
            places = tuple(one.place for one in shared)
            yield Contradiction("mixed-row", paper, title, f"No run of the paper has both: {says}.", places)


def longer_is_worse(papers: dict[str, dict[str, Any]], definitions: Definitions) -> list[Contradiction]:
    """Find pairs of systems that differ only in the number of epochs, the longer training having the worse number."""
    try:
        systems, _ = resolve_bases(definitions)
    except ReproError:
        return []  # the planner reports it; the printed numbers can still be compared
    groups = group(list(prints(papers)))
    found = []
    for short, long in itertools.permutations(systems, 2):
        for (system, dataset, metric), numbers in groups.items():
            if system != short or not longer(systems[short], systems[long], dataset):
                continue
            for one, other in itertools.product(numbers, groups.get((long, dataset, metric), [])):
                if other.cell.paper == one.cell.paper and worse(other.cell, one.cell):
                    found.append(fewer_epochs(one, other, systems, dataset, metric))
    return list({contradiction.title: contradiction for contradiction in found}.values())


def fewer_epochs(one: Print, other: Print, systems: dict[str, Any], dataset: str, metric: str) -> Contradiction:
    epochs = [epochs_on(systems[each.system], dataset) for each in (one, other)]
    says = f"{one.cell.text()} after {epochs[0]} epochs, {other.cell.text()} after {epochs[1]}."
    title = f"{other.system}: {metric} on {dataset.upper()} gets worse with longer training"
    return Contradiction("longer-is-worse", one.cell.paper, title, says, (one.place, other.place))


def epochs_on(system: dict[str, Any], dataset: str) -> int | None:
    """Epochs of training; None where the system has no value for the dataset."""
    epochs = system.get("train", {}).get("epochs")
    return epochs.get(dataset) if isinstance(epochs, dict) else epochs


def longer(short: dict[str, Any], long: dict[str, Any], dataset: str) -> bool:
    """Whether two systems differ only in epochs, and the second has more on this dataset."""
    bare = [{**system, "train": {**system.get("train", {}), "epochs": None}} for system in (short, long)]
    one, other = epochs_on(short, dataset), epochs_on(long, dataset)
    return bare[0] == bare[1] and one is not None and other is not None and other > one


def worse(one: Cell, other: Cell) -> bool:
    if one.value is None or other.value is None or one.better is None:
        return False
    return one.value < other.value if one.better == "higher" else one.value > other.value


def disagreements(papers: dict[str, dict[str, Any]], more_than: float = 0.0) -> list[Compared]:
    """Compare what several papers print for the same system, dataset and metric. Returns those that differ by more than
    `more_than`, the largest spread first."""
    found = []
    for key, numbers in group(list(prints(papers))).items():
        once = {(one.cell.paper, one.cell.value, one.cell.std): one for one in reversed(numbers)}
        chosen = tuple(sorted(once.values(), key=lambda one: (one.cell.value or 0, one.cell.paper)))
        compared = Compared(*key, chosen)
        if len({one.cell.paper for one in chosen}) > 1 and compared.spread > more_than:
            found.append(compared)
    return sorted(found, key=lambda compared: -compared.spread)
