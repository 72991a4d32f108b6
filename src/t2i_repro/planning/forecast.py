"""What of a plan is to be built, what that takes on a device, and which cells come first. Needs no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from t2i_repro.core.artefact import Node
from t2i_repro.planning.cost import Costs, Work
from t2i_repro.planning.devices import Device, makespan, on_card, seconds
from t2i_repro.planning.plan import Planner


@dataclass
class Forecast:
    """``wanted`` on a device, with so many cores and jobs on cards at a time."""

    planner: Planner
    costs: Costs
    wanted: Sequence[Node]
    device: Device
    cores: int
    cards: int

    @cached_property
    def nodes(self) -> list[Node]:
        """All that is wanted and what it is built from, in the order of the flow."""
        needed = closure(self.planner, self.wanted)
        return [node for node in self.planner.nodes.values() if node.record in needed]

    @cached_property
    def built(self) -> set[str]:
        """Records that are there."""
        return {node.record for node in self.nodes if (self.planner.project / node.record).exists()}

    @cached_property
    def todo(self) -> list[Node]:
        """What has to be built: nothing that only built artefacts are made from."""
        needed = closure(self.planner, self.wanted, self.built)
        return [node for node in self.nodes if node.record in needed]

    def of_kind(self, *kinds: str) -> list[Node]:
        return [node for node in self.nodes if node.kind in kinds]

    @property
    def absent(self) -> list[str]:
        """Datasets that are needed and not here."""
        return sorted({self.costs.dataset_of(node) for node in self.of_kind("prepare")} & self.planner.absent.keys())

    @property
    def assumed(self) -> list[str]:
        """Datasets that are here and not prepared, so that their size is not known: the official one is assumed."""
        params = self.planner.params
        if params["data_root"] is None:
            return []
        raw = {self.costs.dataset_of(node) for node in self.of_kind("prepare") if node.record not in self.built}
        return sorted(raw - self.planner.absent.keys())

    def work(self, node: Node) -> Work:
        return self.costs.work(node)

    @cached_property
    def times(self) -> dict[str, float]:
        """Seconds of each node to build, by record."""
        return {node.record: seconds(node, self.costs.work(node), self.device) for node in self.todo}

    @cached_property
    def wall(self) -> float:
        """Seconds until all is built."""
        return makespan(self.nodes, self.times, self.cores, self.cards)

    @property
    def card_seconds(self) -> float:
        """Seconds of jobs that take a card; on a CPU, of all jobs."""
        return sum(self.times[node.record] for node in self.todo if on_card(node) or not self.device.card)


def closure(planner: Planner, wanted: Iterable[Node], built: Iterable[str] = ()) -> set[str]:
    """Records of nodes and of all that they are built from. Those in ``built`` are left out, with what only they are
    built from."""
    found: set[str] = set()
    skip = set(built)
    waiting = [node for node in wanted if node.record not in skip]
    while waiting:
        node = waiting.pop()
        if node.record not in found:
            found.add(node.record)
            waiting += [source for source in planner.inputs_of(node).values() if source.record not in skip]
    return found


@dataclass(frozen=True)
class Cell:
    """A cell of a table, `ssa-gan-table2/id0/fid`, and the records of its scores that are to be built, inputs too."""

    name: str
    needs: frozenset[str]


def cells(forecast: Forecast) -> list[Cell]:
    """The cells among what is wanted that a system, a dataset or a network of ours fills."""
    found = []
    for table in forecast.of_kind("table"):
        scores: dict[str, list[Node]] = {}
        for role, node in forecast.planner.inputs_of(table).items():
            scores.setdefault(role.rpartition("/")[0], []).append(node)
        for place, nodes in scores.items():
            needs = closure(forecast.planner, nodes, forecast.built)
            found.append(Cell(f"{table.name}/{place}", frozenset(needs)))
    return found


def cheapest_first(forecast: Forecast) -> list[tuple[Cell, float]]:
    """Each cell with the seconds that were spent when it is filled. The next one is that with the least to add per cell
    that it completes."""
    done: set[str] = set()
    waiting, order, spent = cells(forecast), [], 0.0
    while waiting:
        added = {cell.needs - done for cell in waiting}
        price = {needs: sum(forecast.times[record] for record in needs) for needs in added}
        gain = {needs: sum(cell.needs - done <= needs for cell in waiting) for needs in added}
        best = min(added, key=lambda needs: (price[needs] / gain[needs], price[needs]))
        spent += price[best]
        done |= best
        order += [(cell, spent) for cell in waiting if cell.needs <= done]
        waiting = [cell for cell in waiting if not cell.needs <= done]
    return order


def filled_after(order: Sequence[tuple[Cell, float]], hours: float) -> int:
    """How many cells are filled after so many hours."""
    return sum(spent <= hours * 3600 for _, spent in order)


def runs_behind(forecast: Forecast) -> dict[str, set[str]]:
    """The tables, figures that each training is for, by its record."""
    found: dict[str, set[str]] = {}
    for node in forecast.of_kind("table", "figure"):
        for record in closure(forecast.planner, [node]):
            found.setdefault(record, set()).add(node.name)
    return {node.record: found.get(node.record, set()) for node in forecast.of_kind("train")}
