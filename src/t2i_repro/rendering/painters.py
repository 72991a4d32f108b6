"""Runs that paint a figure, and the sentences they are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build
from t2i_repro.data.captions import tokenise
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.sampling.draws import Draws
from t2i_repro.sampling.generator import load_run
from t2i_repro.sampling.text import Caption

SEED = "figure"


@dataclass(frozen=True)
class Sentence:
    """A sentence of a figure: of the paper, or of the test split (``place``: which, in an order of the figures')."""

    text: str
    place: int | None = None

    @property
    def origin(self) -> str:
        return "paper" if self.place is None else "test split"


class Painter:
    """A run of a figure. Test sentence i and noise i are the same for all runs of one dataset and seed; of two noises
    of different length one is the beginning of the other."""

    def __init__(self, build: Build, system: str) -> None:
        data = build.input(f"data/{system}")
        self.prepared = Prepared(data)
        self.run = load_run(build.input(f"run/{system}"), data, build.input(f"text/{system}"))
        self.words: int = self.run.spec["words"]
        self.draws = Draws(self.prepared, "test", self.words, derive_seed(self.run.spec["seed"], SEED))

    @cached_property
    def vocabulary(self) -> set[str]:
        return set(self.prepared.vocabulary)

    def caption(self, sentence: Sentence) -> Caption:
        """What the run reads of a sentence it can read."""
        if sentence.place is not None:
            return self.draws.caption(sentence.place)
        known = any(word in self.vocabulary for word in tokenise(sentence.text))
        tokens = self.prepared.encode(sentence.text, skip_unknown=True) if known else np.zeros(0, dtype=np.int64)
        return Caption(sentence.text, tokens[: self.words])

    def dropped(self, sentence: Sentence) -> list[str]:
        """Words of a sentence that the run cannot read, each once."""
        if self.run.text.reads_any_word:
            return []
        return [word for word in dict.fromkeys(tokenise(sentence.text)) if word not in self.vocabulary]

    def can_read(self, sentence: Sentence) -> bool:
        """Whether it can read a word of the sentence."""
        return len(self.dropped(sentence)) < len(set(tokenise(sentence.text)))

    def noise(self, places: Sequence[int]) -> npt.NDArray[np.float32]:
        """Noises [B, self.run.noise] by number."""
        return np.stack([self.draws.noise(place, self.run.noise) for place in places])


@dataclass(frozen=True)
class Cast:
    """The runs of a figure by system, each loaded once."""

    painters: dict[str, Painter]

    @classmethod
    def of(cls, node: Node, build: Build) -> "Cast":
        roles = [role for role in node.inputs if role.startswith("run/")]
        if not roles:
            raise ReproError(
                f"{node.name}: none of its `systems` has a `system` to train; give one, or drop the figure"
            )
        return cls({role.removeprefix("run/"): Painter(build, role.removeprefix("run/")) for role in roles})

    @property
    def first(self) -> Painter:
        return next(iter(self.painters.values()))

    def dropped(self, sentence: Sentence) -> list[str]:
        """Words of a sentence that some run cannot read."""
        return list(dict.fromkeys(word for painter in self.painters.values() for word in painter.dropped(sentence)))

    def can_read(self, sentence: Sentence) -> bool:
        return all(painter.can_read(sentence) for painter in self.painters.values())

    def sentences(self, node: Node) -> list[Sentence]:
        """The registry's captions, then captions of the test split. Raises ReproError where none can be drawn."""
        found = [Sentence(text) for text in node.spec.get("captions", [])]
        found += [
            Sentence(self.first.draws.caption(place).text, place) for place in range(node.spec.get("test_captions", 0))
        ]
        found = [sentence for sentence in found if self.can_read(sentence)]
        if not found:
            paper = node.spec["paper"]
            raise ReproError(
                f"{node.name}: no caption to draw; give `captions` or `test_captions` in papers/{paper}.yaml"
            )
        return found

    def stages(self, sentences: Sequence[Sentence]) -> dict[str, list[npt.NDArray[np.uint8]]]:
        """What each system paints of the sentences at every stage, small to large; noise i for sentence i."""
        noises = range(len(sentences))
        return {
            system: painter.run.stages([painter.caption(sentence) for sentence in sentences], painter.noise(noises))
            for system, painter in self.painters.items()
        }

    def unread(self, sentence: Sentence) -> list[str]:
        """The small line beneath a sentence that loses words, if it does."""
        dropped = self.dropped(sentence)
        return [f"not read: {', '.join(dropped)}"] if dropped else []

    def notes(self, wanted: Sequence[str]) -> list[str]:
        """Notes on sentences of the paper that lose words, or all of them."""
        whole = [text for text in dict.fromkeys(wanted) if not self.can_read(Sentence(text))]
        notes = [f"Not drawn, since no word of it is in the vocabulary of these data: “{text}”" for text in whole]
        if any(self.dropped(Sentence(text)) for text in wanted if text not in whole):
            free = [system for system, painter in self.painters.items() if painter.run.text.reads_any_word]
            but = f" ({', '.join(free)}: read, letter by letter or by CLIP)" if free else ""
            notes.append(f"Not read: words that are not in the vocabulary of these data{but}.")
        return notes

    def told(self, sentence: Sentence) -> dict[str, object]:
        """A row as figure.json tells it."""
        return {"caption": sentence.text, "origin": sentence.origin, "dropped": self.dropped(sentence)}
