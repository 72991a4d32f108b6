"""Char-CNN-RNN: characters, recurrence, joint embedding; the reader of the published embeddings."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from t2i_repro.data.char_embeddings import choose, read_char_embeddings, read_numbers
from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import joint_embedding_loss
from t2i_repro.models.build import count_parameters
from t2i_repro.models.encoders.char_cnn_rnn import (
    ALPHABET,
    CharCnnRnn,
    GatedRecurrence,
    characters,
    one_hot,
)


def test_alphabet_of_seventy_with_one_column_unused() -> None:
    assert len(ALPHABET) == 70
    assert len(set(ALPHABET)) == 69
    (places,) = characters([ALPHABET], 70)
    assert 36 not in places
    assert places[36] == places[59] == ALPHABET.rindex("-")


def test_characters() -> None:
    places = characters(["Ab é", "", "z" * 300], 6)
    assert places.tolist() == [[0, 1, 69, -1, -1, -1], [-1] * 6, [25] * 6]
    encoded = one_hot(places)
    assert encoded.shape == (3, 70, 6)
    assert encoded.sum().item() == 9
    assert encoded[0, 69, 2] == 1
    assert not encoded[0, :, 3:].any()
    assert characters(["x"]).shape == (1, 201)


def test_parameters_and_steps() -> None:
    with torch.device("meta"):
        assert count_parameters(CharCnnRnn()) == 4_045_184
    network = CharCnnRnn(dim=10, width=8)
    seen: list[Tensor] = []
    network.recurrence.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    embedded = network(characters(["a red bird", "x"]))
    assert embedded.shape == (2, 10)
    assert seen[0].shape == (2, 18, 8)
    torch.testing.assert_close(embedded, network.project(network.recurrence(seen[0]).mean(dim=1)))
    with pytest.raises(ReproError, match="captions of 100 characters; this encoder takes 201"):
        network(characters(["x"], 100))


def test_a_caption_does_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    network = CharCnnRnn(dim=10, width=8).double()
    texts = ["a red bird", "this flower has petals that are yellow", "x"]
    together = network(characters(texts))
    assert together.dtype == torch.float64
    alone = torch.cat([network(characters([text])) for text in texts])
    torch.testing.assert_close(alone, together)
    assert (together[0] - together[1]).abs().max() > 1e-4
    torch.testing.assert_close(network(characters(["A RED Bird"])), together[:1])


def test_recurrence_is_a_gru_after_a_first_step_of_its_own() -> None:
    torch.manual_seed(0)
    ours = GatedRecurrence(3, 4).double()
    nn.init.constant_(ours.reset_input.bias, 60.0)  # an open reset gate: then torch's GRU computes the same
    cell = nn.GRUCell(3, 4).double()
    gates_of_input = (ours.reset_input, ours.update_input, ours.candidate_input)
    gates_of_state = (ours.reset_state, ours.update_state, ours.candidate_state)
    with torch.no_grad():
        for name, gates in (("ih", gates_of_input), ("hh", gates_of_state)):
            weight, bias = (torch.cat([getattr(gate, part) for gate in gates]) for part in ("weight", "bias"))
            # torch weighs the old state by its update gate, we the new one: the gate's argument changes its sign.
            weight[4:8], bias[4:8] = -weight[4:8], -bias[4:8]
            getattr(cell, f"weight_{name}").copy_(weight)
            getattr(cell, f"bias_{name}").copy_(bias)
    steps = torch.randn(2, 5, 3, dtype=torch.float64)
    states = ours(steps)
    torch.testing.assert_close(states[:, 0], torch.tanh(ours.candidate_input(steps[:, 0])))
    for step in range(1, 5):
        torch.testing.assert_close(states[:, step], cell(steps[:, step], states[:, step - 1]))


def test_a_closed_reset_gate_hides_the_state_from_the_candidate() -> None:
    torch.manual_seed(0)
    layer = GatedRecurrence(3, 4)
    nn.init.constant_(layer.reset_input.bias, -60.0)
    nn.init.constant_(layer.update_input.bias, 60.0)
    steps = torch.randn(2, 3, 3)
    expected = torch.tanh(layer.candidate_input(steps[:, 2]) + layer.candidate_state.bias)
    torch.testing.assert_close(layer(steps)[:, 2], expected)


def test_joint_embedding_by_hand() -> None:
    images = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    captions = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    # scores: [[2, 0, 1], [0, 2, 0], [2, 1, 1]]; rows 0 and 2 share a class.
    classes = torch.tensor([7, 8, 7])
    by_image = [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    by_caption = [[0, 0, 0], [0, 0, 0], [0, 0, 0]]
    expected = (np.sum(by_image) + np.sum(by_caption)) / 9
    assert joint_embedding_loss(images, captions, classes).item() == pytest.approx(expected)
    assert joint_embedding_loss(images, captions, classes, "printed").item() == pytest.approx(1 / 3)
    apart = torch.tensor([7, 8, 9])
    # by image: row 0: (0, 0); row 1: (0, 0); row 2: 1+2-1 = 2, 1+1-1 = 1. By caption: column 0: 1+0-2, 1+2-2 = 1;
    # column 1: 0, 1+1-2 = 0; column 2: 1+1-1 = 1, 0.
    assert joint_embedding_loss(images, captions, apart).item() == pytest.approx((3 + 2) / 9)
    assert joint_embedding_loss(images, captions, apart, "printed").item() == pytest.approx(2 / 3 + (1 + 1) / 3)
    with pytest.raises(ReproError, match="expected"):
        joint_embedding_loss(images, captions[:2], apart)


def test_captions_learn_to_find_their_images() -> None:
    torch.manual_seed(0)
    network = CharCnnRnn(dim=6, width=16)
    places = characters(["a red bird with a long bill", "yellow petals", "a truck", "small blue bird, grey wings"])
    images, classes = torch.eye(6)[:4] * 2, torch.arange(4)
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(40):
        loss = joint_embedding_loss(images, network(places), classes)
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert all(p.grad is not None for p in network.parameters())
    assert (images @ network(places).T).argmax(0).tolist() == [0, 1, 2, 3]


def python2_array(values: np.ndarray) -> bytes:
    """The opcodes with which Python 2 and its numpy pickle an array of numbers, without the frame."""
    order = {"<": b"<", ">": b">"}[values.dtype.str[0]]
    raw = values.tobytes()
    shape = b"".join(b"M" + struct.pack("<H", side) for side in values.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01("
        + shape
        + b"tcnumpy\ndtype\nU\x02"
        + values.dtype.str[1:].encode()
        + b"K\x00K\x01\x87R(K\x03U\x01"
        + order
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<I", len(raw))
        + raw
        + b"tb"
    )


def published(folder: Path, vectors: list[np.ndarray], names: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    body = b"".join(python2_array(array) for array in vectors)
    (folder / "char-CNN-RNN-embeddings.pickle").write_bytes(b"\x80\x02](" + body + b"e.")
    listed = b"".join(b"U" + bytes([len(name)]) + name.encode() for name in names)
    (folder / "filenames.pickle").write_bytes(b"\x80\x02](" + listed + b"e.")
    (folder / "class_info.pickle").write_bytes(pickle.dumps(list(range(1, len(names) + 1)), protocol=2))
    return folder


def arrays(kind: str = "<f4") -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.standard_normal((count, 300)).astype(kind) for count in (10, 3, 1)]


NAMES = ["002.Laysan/Laysan_2", "001.Foot/Foot_1", "003.Gull/Gull_3"]


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8"])
def test_published_embeddings(tmp_path: Path, kind: str) -> None:
    given = arrays(kind)
    read = read_char_embeddings(published(tmp_path / "train", given, NAMES))
    assert read.filenames == NAMES
    assert read.dim == 300
    assert read.class_ids.tolist() == [1, 2, 3]
    for ours, theirs in zip(read.vectors, given, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, theirs.astype(np.float32))
    ordered = read.of_images(["001.Foot/Foot_1.jpg", "Gull_3"])
    np.testing.assert_array_equal(ordered[0], read.vectors[1])
    np.testing.assert_array_equal(ordered[1], read.vectors[2])
    with pytest.raises(ReproError, match=r"no published embedding of 1 of 2 images, the first 009\.X/X_9"):
        read.of_images([NAMES[0], "009.X/X_9"])


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_todays_numpy_are_read_too(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps([arrays()[0], np.asfortranarray(arrays()[1]), np.float32(2.5), "name"], protocol))
    whole, fortran, scalar, name = read_numbers(path)
    np.testing.assert_array_equal(whole, arrays()[0])
    np.testing.assert_array_equal(fortran, arrays()[1])
    assert (scalar, name) == (2.5, "name")


class Call:
    def __init__(self, function: object, *given: object) -> None:
        self.function, self.given = function, given

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.function, self.given


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path, protocol: int) -> None:
    path, trace = tmp_path / "x.pickle", tmp_path / "trace"
    for function, given in [(os.mkdir, (str(trace),)), (eval, ("1",)), (np.load, ("x",)), (getattr, ("x", "upper"))]:
        path.write_bytes(pickle.dumps([arrays()[1], Call(function, *given)], protocol))
        with pytest.raises(ReproError, match=r"x\.pickle: not a pickle of plain arrays \(it asks for"):
            read_numbers(path)
    assert not trace.exists()


def test_other_things_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pickle"
    for value in [np.array([{}], dtype=object), np.zeros(2, dtype="f4,i4"), {"a": 1}, [{1, 2}], np.array(["a"])]:
        path.write_bytes(pickle.dumps(value, 2))
        with pytest.raises(ReproError, match="not a pickle of plain arrays"):
            read_numbers(path)
    whole = pickle.dumps(arrays(), 2)
    for broken in (b"", b"PK\x03\x04", whole[:200], whole[:-400] + b"."):
        path.write_bytes(broken)
        with pytest.raises(ReproError, match="not a pickle of plain arrays"):
            read_numbers(path)
    forged = python2_array(arrays()[0]).replace(
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb", b"NNNK\x04K\x04K\x3ftb"
    )
    path.write_bytes(b"\x80\x02" + forged + b".")
    np.testing.assert_array_equal(read_numbers(path), arrays()[0])  # sizes and flags of a forged kind are not believed
    with pytest.raises(ReproError, match="download the published embeddings"):
        read_numbers(tmp_path / "absent.pickle")


def test_embeddings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="3 embeddings, 2 file names, 2 classes"):
        read_char_embeddings(published(tmp_path, arrays(), NAMES[:2]))
    bad = arrays()
    bad[1][0, 0] = np.nan
    with pytest.raises(ReproError, match=r"001\.Foot/Foot_1: found float32 \(3, 300\), expected finite"):
        read_char_embeddings(published(tmp_path, bad, NAMES))
    with pytest.raises(ReproError, match="different lengths"):
        read_char_embeddings(published(tmp_path, [*arrays()[:2], np.zeros((2, 7), np.float32)], NAMES))
    (tmp_path / "filenames.pickle").write_bytes(pickle.dumps("name", 2))
    with pytest.raises(ReproError, match=r"filenames\.pickle: found no list of names"):
        read_char_embeddings(tmp_path)


def test_which_captions_stand_for_an_image() -> None:
    vectors = np.eye(10, dtype=np.float32)
    draw = np.random.default_rng(0)
    assert choose(vectors, "first", draw).tolist() == vectors[0].tolist()
    means = np.stack([choose(vectors, "mean-of-4", draw) for _ in range(400)])
    assert ((means == 0.25).sum(1) == 4).all()
    assert 0.08 < means.mean(0).min() < means.mean(0).max() < 0.12
    singles = np.stack([choose(vectors, "random", draw) for _ in range(200)])
    assert (singles.max(1) == 1).all()
    assert (singles.sum(0) > 5).all()
    np.testing.assert_allclose(choose(vectors[:3], "mean-of-4", draw)[:3], 1 / 3, rtol=1e-6)
    with pytest.raises(ReproError, match="captions: found 'mean'"):
        choose(vectors, "mean", draw)  # type: ignore[arg-type]
