"""One iteration of HDGAN: which pairs, who is updated, which scales, what each switch changes."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sentence_systems import TEXT, batch, networks, optimisers
from torch import Tensor

from t2i_repro.core.choices import Form
from t2i_repro.data.mismatch import mismatched_images
from t2i_repro.errors import ReproError
from t2i_repro.models.layers import image_pyramid
from t2i_repro.models.nested import (
    ExtendedGenerator,
    NestedDiscriminators,
    NestedGenerator,
    NestedScores,
    SideOutputs,
)
from t2i_repro.training.nested import (
    Mismatch,
    NestedObjective,
    discriminator_losses,
    generator_losses,
    mismatch,
    nested_step,
)

SIZES = [16, 32, 64]


def pair(name: str = "hdgan") -> tuple[NestedGenerator, NestedDiscriminators]:
    generator, discriminators = networks(name)
    assert isinstance(generator, NestedGenerator)
    assert isinstance(discriminators, NestedDiscriminators)
    return generator, discriminators


class Recorder(NestedDiscriminators):
    """Writes down what it is asked; scores are the images' means, the sentence's added to those of pairs."""

    def __init__(self) -> None:
        super().__init__(64, features=4, peak=4, text_dim=TEXT, cond_dim=3)
        self.asked: list[tuple[Sequence[Tensor], Tensor]] = []

    def forward(self, images: Sequence[Tensor], text: Tensor) -> list[NestedScores]:
        self.asked.append((images, text))
        means = [image.mean((1, 2, 3)) for image in images]
        return [NestedScores(mean + text.mean(1), mean[:, None, None].expand(-1, 2, 2)) for mean in means]


def levels(value: float) -> list[Tensor]:
    return [torch.full((2, 3, size, size), value) for size in SIZES]


def test_terms_and_weights_of_the_discriminators() -> None:
    recorder, text, other_text = Recorder(), torch.zeros(2, TEXT), torch.full((2, TEXT), 4.0)
    real, wrong, fake = levels(1.0), levels(3.0), levels(0.5)
    code = discriminator_losses(recorder, real, fake, text, Mismatch(wrong, text), NestedObjective())
    for size in SIZES:
        assert code[f"d_pair_{size}"].item() == pytest.approx(0 + (9 + 0.25) / 2)
        assert code[f"d_image_{size}"].item() == pytest.approx((0 + 4) / 2 + 0.25)
    assert len(code) == 6
    assert [asked[0][2] is images[2] for asked, images in zip(recorder.asked, (real, wrong), strict=False)] == [
        True
    ] * 2
    printed = NestedObjective(wrong_image="printed", pair_weights="printed")
    losses = discriminator_losses(recorder, real, fake, text, Mismatch(real, other_text), printed)
    for size in SIZES:
        assert losses[f"d_pair_{size}"].item() == pytest.approx(0 + 25 + 0.25)
        assert losses[f"d_image_{size}"].item() == pytest.approx(0 + 0.25)


def test_terms_and_weights_of_the_generator() -> None:
    text, mean, log_sigma = torch.zeros(2, TEXT), torch.ones(2, 3), torch.zeros(2, 3)
    losses = generator_losses(Recorder(), SideOutputs(levels(0.5), mean, log_sigma), text, NestedObjective(kl=4.0))
    assert losses["g_kl"].item() == pytest.approx(4 * 0.5)
    assert {name for name in losses if name != "g_kl"} == {f"g_{kind}_{s}" for kind in ("pair", "image") for s in SIZES}
    assert all(losses[name].item() == pytest.approx(0.25) for name in losses if name != "g_kl")
    outputs = SideOutputs(levels(0.5), None, None, base=torch.zeros(2, 3, 64, 64))
    losses = generator_losses(Recorder(), outputs, text, NestedObjective(l1=3.0))
    assert losses["g_l1"].item() == pytest.approx(1.5)
    assert "g_kl" not in losses


def test_which_pairs_do_not_match() -> None:
    real, wrong, text = levels(1.0), levels(2.0), torch.arange(12.0).view(2, 6)
    code = mismatch("code", real, text, wrong)
    assert code.images is wrong
    assert torch.equal(code.text, text)
    printed = mismatch("printed", real, text)
    assert printed.images is real
    assert torch.equal(printed.text, text[[1, 0]])
    with pytest.raises(ReproError, match="mismatch: found 'text'"):
        mismatch("text", real, text)  # type: ignore[arg-type]


def test_wrong_images_are_of_another_class_and_of_the_split() -> None:
    class_ids = np.array([0, 0, 1, 1, 2, 2, 0, 1])
    members = np.array([0, 1, 2, 3, 6])
    index = members.repeat(200)
    wrong = mismatched_images(index, members, class_ids, np.random.default_rng(0))
    assert set(wrong) == set(members)
    assert (class_ids[wrong] != class_ids[index]).all()
    of_first = wrong[index == 2]
    assert {number: int((of_first == number).sum()) > 40 for number in (0, 1, 6)} == {0: True, 1: True, 6: True}
    with pytest.raises(ReproError, match="only one class"):
        mismatched_images(index, np.array([0, 1]), class_ids, np.random.default_rng(0))


def test_the_same_fakes_serve_both_players_and_the_generator_sees_the_updated_discriminators() -> None:
    generator, discriminators = pair()
    seen: list[list[Tensor]] = []
    discriminators.register_forward_pre_hook(lambda _module, given: seen.append(list(given[0])))
    weights: list[Tensor] = []
    watched = discriminators.by_scale["1"].pair.joint[3].weight
    discriminators.register_forward_pre_hook(lambda _module, _given: weights.append(watched.detach().clone()))
    real, wrong, text = batch(64)
    calls: list[int] = []
    generator.register_forward_pre_hook(lambda *_: calls.append(1))
    generator.stages[0].register_forward_pre_hook(lambda *_: calls.append(1))
    noise = generator.draw_noise(len(text)).double()
    nested_step(generator, discriminators, *optimisers(generator, discriminators), real, noise, text, wrong)
    assert len(calls) == 1
    assert len(seen) == 4
    for size, right, false in zip(SIZES, seen[0], seen[1], strict=True):
        assert torch.equal(right, image_pyramid(real, [size])[0])
        assert torch.equal(false, image_pyramid(wrong, [size])[0])
    for in_d, in_g in zip(seen[2], seen[3], strict=True):
        assert torch.equal(in_d, in_g)
        assert not in_d.requires_grad
        assert in_g.requires_grad
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[2], weights[3])


def test_the_generator_step_gives_the_discriminators_no_gradient() -> None:
    generator, discriminators = pair()
    real, wrong, text = batch(64)
    noise = generator.draw_noise(len(text)).double()
    adam, sgd = optimisers(generator, discriminators)[0], torch.optim.SGD(discriminators.parameters(), lr=0.0)
    nested_step(generator, discriminators, adam, sgd, real, noise, text, wrong)
    after_step = {name: p.grad.clone() for name, p in discriminators.named_parameters()}
    again_g, again_d = pair()
    outputs = again_g.side_outputs(noise, text)
    other = Mismatch(image_pyramid(wrong, SIZES), text)
    losses = discriminator_losses(again_d, image_pyramid(real, SIZES), outputs.images, text, other, NestedObjective())
    sum(losses.values(), start=torch.zeros(())).backward()
    for name, parameter in again_d.named_parameters():
        assert torch.equal(after_step[name], parameter.grad), name
    assert all(p.grad is None for p in again_g.parameters()), "nor do the discriminators' losses reach the generator"


@pytest.mark.parametrize(
    ("name", "supervised"), [("hdgan-256", [64]), ("hdgan-128-256", [32, 64]), ("hdgan-64-256", [16, 64])]
)
def test_only_supervised_scales_have_terms(name: str, supervised: list[int]) -> None:
    generator, discriminators = pair(name)
    real, wrong, text = batch(64)
    noise = generator.draw_noise(len(text)).double()
    losses = nested_step(generator, discriminators, *optimisers(generator, discriminators), real, noise, text, wrong)
    terms = {f"{player}_{kind}_{size}" for player in "dg" for kind in ("pair", "image") for size in supervised}
    assert set(losses) == terms | {"g_kl", "d_loss", "g_loss"}
    assert {int(name) for name in discriminators.by_scale} == {64 // size for size in supervised}


@pytest.mark.parametrize("size", SIZES)
def test_a_scale_supervises_the_stream_up_to_its_side_output(size: int) -> None:
    generator, discriminators = pair()
    _, _, text = batch(64)
    outputs = generator.side_outputs(generator.draw_noise(len(text)).double(), text)
    losses = generator_losses(discriminators, outputs, text, NestedObjective())
    (losses[f"g_pair_{size}"] + losses[f"g_image_{size}"]).backward()
    reached = [all(p.grad is not None for p in stage.parameters()) for stage in generator.stages]
    assert reached == [2 << index <= size for index in range(6)]
    for scale, layer in generator.compress.items():
        assert (layer[0].conv.weight.grad is not None) == (64 // int(scale) == size)


def test_without_image_loss_there_are_pair_terms_alone() -> None:
    generator, discriminators = pair("hdgan-no-image-loss")
    real, wrong, text = batch(64)
    noise = generator.draw_noise(len(text)).double()
    losses = nested_step(generator, discriminators, *optimisers(generator, discriminators), real, noise, text, wrong)
    assert not [name for name in losses if "image" in name]
    d_terms = [value for name, value in losses.items() if name.startswith("d_pair")]
    assert losses["d_loss"].item() == pytest.approx(sum(d_terms).item())


@pytest.mark.parametrize("form", ["code", "printed"])
def test_wrong_images_matter_to_the_image_loss_as_released_only(form: Form) -> None:
    _, discriminators = pair()
    real, wrong, text = batch(64)
    fake = image_pyramid(-real, SIZES)
    objective = NestedObjective(wrong_image=form)
    values = [
        discriminator_losses(
            discriminators, image_pyramid(real, SIZES), fake, text, Mismatch(image_pyramid(w, SIZES), text), objective
        )
        for w in (wrong, wrong.flip(1))
    ]
    assert (values[0]["d_image_64"] != values[1]["d_image_64"]).item() == (form == "code")
    assert values[0]["d_pair_64"] != values[1]["d_pair_64"]


def test_the_extension_learns_from_its_base_and_leaves_it_alone() -> None:
    generator, discriminators = networks("hdgan-512")
    assert isinstance(generator, ExtendedGenerator)
    assert isinstance(discriminators, NestedDiscriminators)
    real, wrong, text = batch(128)
    noise = generator.draw_noise(len(text)).double()
    losses = nested_step(generator, discriminators, *optimisers(generator, discriminators), real, noise, text, wrong)
    assert set(losses) == {"d_pair_128", "d_image_128", "d_loss", "g_pair_128", "g_image_128", "g_l1", "g_loss"}
    assert all(p.grad is None for p in generator.base.parameters())


def test_refusals_name_the_switch() -> None:
    with pytest.raises(ReproError, match="wrong_image: found 'draft'"):
        NestedObjective(wrong_image="draft")  # type: ignore[arg-type]
    with pytest.raises(ReproError, match="pair_weights: found 'draft'"):
        NestedObjective(pair_weights="draft")  # type: ignore[arg-type]
