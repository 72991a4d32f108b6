"""The trained runs of a figure, and the sentences they generate images for."""

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
from t2i_repro.sampling.draws import CaptionSampler
from t2i_repro.sampling.generator import load_run
from t2i_repro.sampling.text import Caption

SEED = "figure"


@dataclass(frozen=True)
class Sentence:
    """A sentence of a figure. ``index``: position among the figures' test captions; None for one of the paper."""

    text: str
    index: int | None = None

    @property
    def origin(self) -> str:
        return "paper" if self.index is None else "test split"


class FigureRun:
    """One run of a figure.

    Test caption i and noise i are the same for all runs of one dataset and seed. If two runs have noise vectors of
    different length, the shorter one is the beginning of the longer one.
    """

    def __init__(self, build: Build, system: str) -> None:
        data = build.input(f"data/{system}")
        self.prepared = Prepared(data)
        self.run = load_run(build.input(f"run/{system}"), data, build.input(f"text/{system}"))
        self.max_words: int = self.run.spec["words"]
        self.sampler = CaptionSampler(self.prepared, "test", self.max_words, derive_seed(self.run.spec["seed"], SEED))

    @cached_property
    def vocabulary(self) -> set[str]:
        return set(self.prepared.vocabulary)

    def caption(self, sentence: Sentence) -> Caption:
        """The sentence as input of the run, without the words that its vocabulary lacks."""
        if sentence.index is not None:
            return self.sampler.caption(sentence.index)
        known = any(word in self.vocabulary for word in tokenise(sentence.text))
        tokens = self.prepared.encode(sentence.text, skip_unknown=True) if known else np.zeros(0, dtype=np.int64)
        return Caption(sentence.text, tokens[: self.max_words])

    def unknown_words(self, sentence: Sentence) -> list[str]:
        """Distinct words of a sentence that the run cannot read."""
        if self.run.text.reads_any_word:
            return []
        return [word for word in dict.fromkeys(tokenise(sentence.text)) if word not in self.vocabulary]

    def can_read(self, sentence: Sentence) -> bool:
        """Whether the run can read at least one word of the sentence."""
        return len(self.unknown_words(sentence)) < len(set(tokenise(sentence.text)))

    def noise(self, indices: Sequence[int]) -> npt.NDArray[np.float32]:
        """Noise vectors [B, self.run.noise_dim] with these indices."""
        return np.stack([self.sampler.noise(index, self.run.noise_dim) for index in indices])


@dataclass(frozen=True)
class FigureRuns:
    """The runs of a figure by system, each loaded once."""

    runs: dict[str, FigureRun]

    @classmethod
    def load(cls, node: Node, build: Build) -> "FigureRuns":
        """Load the runs among the inputs of a figure. Raises ReproError if there are none."""
        roles = [role for role in node.inputs if role.startswith("run/")]
        if not roles:
            raise ReproError(
                f"{node.name}: none of its `systems` has a `system` to train; give one, or drop the figure"
            )
        return cls({role.removeprefix("run/"): FigureRun(build, role.removeprefix("run/")) for role in roles})

    @property
    def first(self) -> FigureRun:
        return next(iter(self.runs.values()))

    def unknown_words(self, sentence: Sentence) -> list[str]:
        """Distinct words of a sentence that at least one run cannot read."""
        return list(dict.fromkeys(word for run in self.runs.values() for word in run.unknown_words(sentence)))

    def can_read(self, sentence: Sentence) -> bool:
        return all(run.can_read(sentence) for run in self.runs.values())

    def sentences(self, node: Node) -> list[Sentence]:
        """The readable sentences of a figure: the registry's captions, then captions of the test split.

        Raises ReproError if there are none.
        """
        found = [Sentence(text) for text in node.spec.get("captions", [])]
        found += [
            Sentence(self.first.sampler.caption(index).text, index)
            for index in range(node.spec.get("test_captions", 0))
        ]
        found = [sentence for sentence in found if self.can_read(sentence)]
        if not found:
            paper = node.spec["paper"]
            raise ReproError(
                f"{node.name}: no caption to draw; give `captions` or `test_captions` in papers/{paper}.yaml"
            )
        return found

    def stages(self, sentences: Sequence[Sentence]) -> dict[str, list[npt.NDArray[np.uint8]]]:
        """Images [B, s, s, 3] of every stage, small to large, by system; sentence i has noise i."""
        indices = range(len(sentences))
        return {
            system: run.run.stages([run.caption(sentence) for sentence in sentences], run.noise(indices))
            for system, run in self.runs.items()
        }

    def unread_lines(self, sentence: Sentence) -> list[str]:
        """The line below a sentence that names its unknown words; empty if it has none."""
        words = self.unknown_words(sentence)
        return [f"not read: {', '.join(words)}"] if words else []

    def notes(self, texts: Sequence[str]) -> list[str]:
        """Notes on the paper's sentences that lose words, or are left out because all of their words are unknown."""
        left_out = [text for text in dict.fromkeys(texts) if not self.can_read(Sentence(text))]
        notes = [f"Not drawn, since no word of it is in the vocabulary of these data: “{text}”" for text in left_out]
        if any(self.unknown_words(Sentence(text)) for text in texts if text not in left_out):
            free = [system for system, run in self.runs.items() if run.run.text.reads_any_word]
            but = f" ({', '.join(free)}: read, letter by letter or by CLIP)" if free else ""
            notes.append(f"Not read: words that are not in the vocabulary of these data{but}.")
        return notes

    def row(self, sentence: Sentence) -> dict[str, object]:
        """A sentence as a row of `figure.json`."""
        return {"caption": sentence.text, "origin": sentence.origin, "dropped": self.unknown_words(sentence)}
