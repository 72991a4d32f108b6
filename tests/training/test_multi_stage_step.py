"""One iteration of the multi-stage systems: pairs, conditions, which term falls on which stage."""

import numpy as np
import pytest
import torch
from multi_stage_systems import systems, tiny
from PIL import Image
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.losses.adversarial import bce_fake, bce_real
from t2i_repro.losses.matching import damsm_sentence, damsm_words
from t2i_repro.losses.regularisers import conditioning_kl, cross_sample_distillation, redundancy
from t2i_repro.models.base import Text
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.fusion import Fused
from t2i_repro.models.layers import image_pyramid
from t2i_repro.models.multi_stage import Condition, MultiStageGenerator, MultiStageOutput
from t2i_repro.models.stage_discriminators import Layers, StageDiscriminator
from t2i_repro.training.multi_stage import (
    LossConfig,
    generator_losses,
    multi_stage_step,
    stage_discriminator_step,
    wrong_pairs,
)

TEXT, WORDS = 8, 6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def captions() -> Text:
    return Text.of(torch.randn(4, TEXT, WORDS), torch.randn(4, TEXT), torch.tensor([6, 4, 2, 1]))


def stage_outputs(stages: int = 3, heads: int = 2) -> MultiStageOutput:
    """A generator's outcome made of nothing: images of 8, 16 and 32 px."""
    images = [torch.randn(4, 3, 8 << s, 8 << s).tanh().requires_grad_() for s in range(stages)]
    fused = [Fused(torch.zeros(1), [], [torch.randn(4, 2, 4, 4) for _ in range(heads)]) for _ in range(stages - 1)]
    return MultiStageOutput(images, images, fused, Condition(*(torch.randn(4, 3) for _ in range(3))))


class Eye(nn.Module):
    """An image encoder of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, TEXT, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions = self.layer(nn.functional.adaptive_avg_pool2d(images, 4))
        return regions, regions.mean(dim=(2, 3))


class Recorder(StageDiscriminator):
    """Images are their own features; all that gets logits is recorded."""

    def __init__(self, heads: list[str]) -> None:
        super().__init__(8, 8, 2, heads, TEXT, Layers("batch", "training"))
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.alone: list[Tensor] = []
        self.gain = nn.Parameter(torch.tensor(0.5))

    def features(self, images: Tensor) -> Tensor:
        return images

    def pair_logits(self, features: Tensor, condition: Tensor) -> Tensor:
        self.pairs.append((features.detach(), condition))
        return self.gain * features.flatten(1).mean(1) + condition.mean(1)

    def image_logits(self, features: Tensor) -> Tensor:
        self.alone.append(features.detach())
        return self.gain * features.flatten(1).mean(1)


def stepped(
    config: LossConfig, heads: list[str], class_ids: Tensor | None = None
) -> tuple[Recorder, Tensor, Text, Tensor]:
    network, text = Recorder(heads), captions()
    real, mu = torch.randn(4, 3, 8, 8), torch.randn(4, TEXT, requires_grad=True)
    optimiser = torch.optim.SGD(network.parameters(), 0.0)
    loss = stage_discriminator_step(network, optimiser, real, -real, text, mu, config, class_ids)
    assert mu.grad is None
    return network, real, text, loss


NONE = ((0.0, 0.0),) * 3


def test_pairs_of_attngan() -> None:
    """Real with its text, generated with that text, real image i with text i + 1; both images without a text."""
    network, real, text, loss = stepped(LossConfig(NONE), ["unconditional", "conditional"])
    (first, own), (fake, same), (wrong, other) = network.pairs
    assert torch.equal(first, real)
    assert torch.equal(own, text.sentence)
    assert torch.equal(fake, -real)
    assert torch.equal(same, text.sentence)
    assert torch.equal(wrong, real[:3])
    assert torch.equal(other, text.sentence[1:])
    assert len(network.alone) == 2

    def logits(images: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.5 * images.flatten(1).mean(1) + (0.0 if condition is None else condition.mean(1))

    expected = (bce_real(logits(real)) + bce_real(logits(real, own))) / 2
    expected = expected + (bce_fake(logits(fake)) + bce_fake(logits(fake, own)) + bce_fake(logits(wrong, other))) / 3
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("form", ["plain", "half"])
def test_printed_forms_have_no_wrong_pair(form: str) -> None:
    network, *_ = stepped(LossConfig(NONE, form=form), ["unconditional", "conditional"])  # type: ignore[arg-type]
    assert len(network.pairs) == 2


def test_the_wrong_image_of_stackgan_is_real_without_its_text() -> None:
    config = LossConfig(NONE, form="summed", pairing="other-class")
    network, real, text, _ = stepped(config, ["unconditional", "conditional-code"], torch.tensor([1, 1, 2, 3]))
    assert torch.equal(network.pairs[2][0], real[[2, 2, 3, 0]])
    assert torch.equal(network.alone[2], real[[2, 2, 3, 0]])
    assert not torch.equal(network.pairs[0][1], text.sentence)


def test_pairings() -> None:
    ids = torch.tensor([5, 5, 5])
    assert [rows.tolist() for rows in wrong_pairs(3, ids, "shift")] == [[0, 1], [1, 2]]
    assert [rows.tolist() for rows in wrong_pairs(3, ids, "other-class")] == [[1, 2, 0], [0, 1, 2]]
    with pytest.raises(ReproError, match="batch: found 1, expected at least 2"):
        stage_discriminator_step(
            Recorder(["unconditional"]),
            None,
            torch.ones(1, 3, 8, 8),
            None,
            None,
            None,
            LossConfig(NONE),  # type: ignore[arg-type]
        )


def test_the_mean_word() -> None:
    text = captions()
    torch.testing.assert_close(text.mean_word(), text.words.mean(2))
    own = torch.stack([text.words[i, :, :n].mean(1) for i, n in enumerate((6, 4, 2, 1))])
    torch.testing.assert_close(text.mean_word("printed"), own)
    network, _, shown, _ = stepped(LossConfig(NONE, mean_word="printed"), ["conditional-mean-word"])
    torch.testing.assert_close(network.pairs[0][1], shown.mean_word("printed"))
    assert not network.alone


def test_pyramid_is_that_of_pil() -> None:
    """The authors shrink the crop with PIL before they scale it to [-1, 1]."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    for size, image in zip((16, 32), image_pyramid(images, (16, 32, 64)), strict=False):
        shrunk = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
        expected = torch.from_numpy(shrunk.copy()).permute(2, 0, 1)[None] / 127.5 - 1
        assert (image - expected).abs().max() < 1.01 / 127.5
    assert image_pyramid(images, (16, 64))[1] is images


def discriminators(name: str) -> list[StageDiscriminator]:
    return list(build_discriminator(tiny(name), 32, TEXT).children())  # type: ignore[arg-type]


def losses(
    name: str, **changes: object
) -> tuple[dict[str, Tensor], MultiStageOutput, Text, list[StageDiscriminator], Eye]:
    text, outcome, networks, eye = captions(), stage_outputs(), discriminators(name), Eye()
    config = LossConfig.of(tiny(name, **changes))
    found = generator_losses([n.eval() for n in networks], outcome, text, config, eye)
    return found, outcome, text, networks, eye


def test_terms_of_gr_gan() -> None:
    """Eq. (1), (4), (7): no text at 64; lambda_2 ITM_s at 128; lambda_1 ITM_s + lambda_2 ITM_w at 256."""
    found, outcome, text, networks, eye = losses("gr-gan")
    assert set(found) == {*(f"g_adversarial_{s}" for s in range(3)), "g_matching_1", "g_matching_2", "g_kl"}
    _, code = eye(outcome.images[1])
    torch.testing.assert_close(found["g_matching_1"], sum(damsm_sentence(code, text.sentence, None, 10.0)))
    regions, code = eye(outcome.images[2])
    words = damsm_words(regions, text.words, text.lengths, None, 4.0, 5.0, 10.0)
    expected = 4 * sum(damsm_sentence(code, text.sentence, None, 10.0)) + words[0] + words[1]
    torch.testing.assert_close(found["g_matching_2"], expected)
    features = [n.features(i) for n, i in zip(networks, outcome.images, strict=True)]
    torch.testing.assert_close(found["g_adversarial_0"], bce_real(networks[0].image_logits(features[0])))
    pair = networks[1].pair_logits(features[1], text.sentence)
    torch.testing.assert_close(found["g_adversarial_1"], bce_real(pair))
    pair = networks[2].pair_logits(features[2], text.mean_word())
    torch.testing.assert_close(found["g_adversarial_2"], bce_real(pair))
    torch.testing.assert_close(found["g_kl"], conditioning_kl(outcome.condition.mu, outcome.condition.logvar))


def test_terms_of_icsd_gan() -> None:
    """Eq. (4), (9): similarity on every stage, distillation (0, 2) and (1, 2) on features of the discriminators."""
    found, outcome, text, networks, _ = losses("icsd-gan")
    features = [n.features(i) for n, i in zip(networks, outcome.images, strict=True)]
    for student in (0, 1):
        expected = cross_sample_distillation(features[student], features[2])
        torch.testing.assert_close(found[f"g_distillation_{student}_2"], expected)
    agreed = networks[1].similarity(features[1], text.sentence)
    torch.testing.assert_close(found["g_similarity_1"], -agreed.mean())
    found["g_distillation_0_2"].backward()
    assert outcome.images[2].grad is None
    assert outcome.images[0].grad is not None
    assert outcome.images[0].grad.abs().sum() > 0
    assert {n for n in losses("icsd-gan-0-2")[0] if "distillation" in n} == {"g_distillation_0_2"}
    assert not [n for n in losses("ms-gan")[0] if "distillation" in n]


def test_terms_of_msmt_gan() -> None:
    """Eq. (19): DAMSM at every stage, half the redundancy at every refinement stage."""
    found, outcome, *_ = losses("msmt-gan")
    assert {n for n in found if "matching" in n} == {f"g_matching_{s}" for s in range(3)}
    for stage in (1, 2):
        expected = 0.5 * redundancy(outcome.fused[stage - 1].refinements)
        torch.testing.assert_close(found[f"g_redundancy_{stage}"], expected)
    assert not [n for n in losses("mtwig-sdm")[0] if "redundancy" in n]


def test_weights_scale_their_terms() -> None:
    for name, term, changes in [("stackgan-plus-plus", "g_kl", {"kl": 1.0}), ("ms-gan", "g_similarity_0", None)]:
        changes = changes or {"similarity": 0.5}
        torch.manual_seed(3)
        full = losses(name)[0][term]
        torch.manual_seed(3)
        torch.testing.assert_close(losses(name, **changes)[0][term] * 2, full)


def test_the_second_player_meets_the_first_one_stepped() -> None:
    """G's loss is of the discriminators this very iteration has updated."""
    system, text = tiny("attngan-no-damsm"), captions()
    real = torch.randn(4, 3, 32, 32).tanh()
    found = []
    for lr in (0.0, 0.5):
        torch.manual_seed(1)
        generator = build_generator(system, 32, 4, TEXT)
        assert isinstance(generator, MultiStageGenerator)
        networks = list(build_discriminator(system, 32, TEXT).children())
        players = [torch.optim.SGD(n.parameters(), lr) for n in networks]
        noise = generator.draw_noise(4)
        optimiser = torch.optim.SGD(generator.parameters(), 0.0)
        found.append(
            multi_stage_step(generator, networks, optimiser, players, real, noise, text, LossConfig.of(system))  # type: ignore[arg-type]
        )
    for stage in range(3):
        assert found[0][f"d_loss_{stage}"] == found[1][f"d_loss_{stage}"]
        assert found[0][f"g_adversarial_{stage}"] != found[1][f"g_adversarial_{stage}"]


def test_recipes() -> None:
    config = LossConfig.of(systems()["gr-gan"])
    assert config.matching == ((0.0, 0.0), (1.0, 0.0), (4.0, 1.0))
    assert config.needs_image_encoder
    assert not LossConfig.of(systems()["attngan-no-damsm"]).needs_image_encoder
    with pytest.raises(ReproError, match=r"distillation: found \[0, 3\], but there are 3 stages"):
        LossConfig.of({**systems()["icsd-gan"], "distillation": [[0, 3]]})
    with pytest.raises(ReproError, match=r"adversarial\.pairing: found 'random', expected one of 'shift'"):
        LossConfig(NONE, pairing="random")
    with pytest.raises(ReproError, match=r"stages\.matching: this system needs the image encoder"):
        generator_losses(discriminators("dm-gan"), stage_outputs(), captions(), LossConfig.of(systems()["dm-gan"]))
