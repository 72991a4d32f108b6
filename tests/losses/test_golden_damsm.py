"""DAMSM losses and the text encoder against what AttnGAN's code computes on the same weights and inputs (float32)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from t2i_repro.losses.matching import damsm_loss
from t2i_repro.models.encoders.damsm import DamsmTextEncoder


def arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path) as stored:
        return {name: torch.from_numpy(stored[name]) for name in stored.files}


@pytest.mark.parametrize("case", ["cls", "nocls"])
def test_losses_gradients_and_attention(shared: Path, case: str) -> None:
    golden = arrays(shared / "golden" / "damsm_loss.npz")
    inputs = {name: golden[name].requires_grad_() for name in ("regions", "code", "words", "sent")}
    gamma1, gamma2, gamma3 = golden["gamma"].tolist()
    loss = damsm_loss(
        *inputs.values(),
        golden["cap_lens"],
        golden["class_ids"] if case == "cls" else None,
        gamma1,
        gamma2,
        gamma3,
    )
    for name in ("w0", "w1", "s0", "s1"):
        torch.testing.assert_close(getattr(loss, name).detach(), golden[f"{case}.{name}"], rtol=2e-6, atol=1e-6)
    loss.total.backward()
    for name, value in inputs.items():
        expected = golden[f"{case}.g_{name}"]
        assert value.grad is not None
        torch.testing.assert_close(value.grad, expected, rtol=1e-4, atol=2e-6 * expected.abs().max().item())
    for index, length in enumerate(golden["cap_lens"].tolist()):
        expected = golden[f"att{index}"][0]
        torch.testing.assert_close(loss.attention[index, :length].detach(), expected, rtol=1e-5, atol=1e-6)
        assert not loss.attention[index, length:].any()


def test_text_encoder(shared: Path) -> None:
    folder = shared / "golden"
    inputs, outputs = arrays(folder / "attngan_mini_inputs.npz"), arrays(folder / "attngan_mini_outputs.npz")
    official = torch.load(folder / "attngan_mini_weights.pt", weights_only=True)["text_encoder"]
    encoder = DamsmTextEncoder(vocabulary=50, embedding=300, hidden=8).eval()
    names = {"encoder.": "embedding.", "rnn.": "lstm."}
    encoder.load_state_dict(
        {names[name.split(".")[0] + "."] + name.split(".", 1)[1]: value for name, value in official.items()}
    )
    with torch.no_grad():
        words, sentence = encoder(inputs["captions"], inputs["cap_lens"])
        order = torch.tensor([2, 0, 3, 1])
        shuffled_words, shuffled_sentence = encoder(inputs["captions"][order], inputs["cap_lens"][order])
    # Sums of 300 products in float32: processors round them differently, by 1e-6 at most.
    torch.testing.assert_close(words, outputs["words_emb"], rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(sentence, outputs["sent_emb"], rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(shuffled_words, words[order], rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(shuffled_sentence, sentence[order], rtol=1e-5, atol=3e-6)
    assert not words.transpose(1, 2)[outputs["mask"]].any()
