"""The encoders' trainings: schedules, exact resume, and that they learn."""

from pathlib import Path

import pytest
import torch
from tiny import CPU, FakeBatches, digests, image_encoder, schedule, text_encoder
from torch.optim import Adam

from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.classifier import Classifier
from t2i_repro.models.encoders.damsm import DamsmImageEncoder
from t2i_repro.training.classifier import ClassifierTraining
from t2i_repro.training.damsm import DamsmTraining
from t2i_repro.training.loop import train
from t2i_repro.training.schedules import damsm_rate
from t2i_repro.training.trainable import Trainable

SPEC = {"lr": 2e-3, "decay": 0.5, "clip": 0.25, "gamma1": 4.0, "gamma2": 5.0, "gamma3": 10.0}


def damsm() -> DamsmTraining:
    return DamsmTraining(SPEC, text_encoder(), image_encoder(), FakeBatches.steps_per_epoch, CPU)


def classifier() -> ClassifierTraining:
    torch.manual_seed(0)
    return ClassifierTraining(Classifier(build_backbone("standin", 1), 3), torch.arange(3), 1e-2, CPU)


def test_the_rate_decays_while_it_is_above_a_tenth() -> None:
    rates = [damsm_rate(epoch, 2e-3, 0.98) for epoch in range(300)]
    assert rates[0] == 2e-3
    assert rates[1] == pytest.approx(2e-3 * 0.98)
    assert rates[113] == pytest.approx(2e-3 * 0.98**113)
    assert rates[113] > 2e-4
    assert rates[114] == pytest.approx(2e-3 * 0.98**114)
    assert rates[114] < 2e-4
    assert set(rates[114:]) == {rates[114]}


def test_adam_is_new_in_every_epoch() -> None:
    """Two epochs equal two one-epoch trainings, the second with a new optimiser at the decayed rate."""
    batches, reference, parts = FakeBatches(), damsm(), damsm()
    for step in range(10):
        if step == 5:
            learning = [*parts.text_encoder.parameters(), *parts.image_encoder.head_parameters()]
            parts.optimisers()["encoders"] = Adam(learning, SPEC["lr"] * SPEC["decay"], (0.5, 0.999))
        for system, number in ((reference, step), (parts, step)):
            torch.manual_seed(step)
            system.step(batches.batch(step), number)
    for name, value in reference.text_encoder.state_dict().items():
        assert torch.equal(value, parts.text_encoder.state_dict()[name]), name
    assert reference.optimisers()["encoders"].param_groups[0]["lr"] == pytest.approx(1e-3)


def test_the_text_encoders_gradient_is_clipped_and_the_image_encoders_is_not() -> None:
    system = damsm()
    system.step(FakeBatches().batch(0), 0)
    norm = torch.stack([p.grad.norm() for p in system.text_encoder.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(0.25, rel=1e-4)
    heads = torch.stack([p.grad.norm() for p in system.image_encoder.head_parameters() if p.grad is not None]).norm()
    assert heads.item() > 0.25
    assert all(p.grad is None for p in system.image_encoder.trunk.parameters())


@pytest.mark.parametrize("make", [damsm, classifier])
@pytest.mark.parametrize("stop", [3, 5, 7])
def test_resume_is_exact_within_and_between_epochs(tmp_path: Path, make: object, stop: int) -> None:
    plan = schedule(steps=9, checkpoint_every=1, grid_every=100)

    def run(out: Path, system: Trainable, fail: bool = False) -> dict[str, str]:
        step = system.step

        def failing(batch: object, number: int) -> object:
            if fail and number == stop:
                raise ZeroDivisionError
            return step(batch, number)  # type: ignore[arg-type]

        system.step = failing  # type: ignore[method-assign, assignment]
        train(system, FakeBatches(), out, plan)  # type: ignore[arg-type]
        return digests(out)

    reference = run(tmp_path / "uninterrupted", make())  # type: ignore[operator]
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "broken", make(), fail=True)  # type: ignore[operator]
    assert run(tmp_path / "broken", make()) == reference  # type: ignore[operator]


def test_a_classifier_learns_and_numbers_classes_by_rank() -> None:
    classes = torch.tensor([4, 7, 150])
    batch = FakeBatches(size=12).batch(0)
    batch.class_ids = classes[batch.class_ids]
    shade = torch.linspace(-0.9, 0.9, 3)[torch.searchsorted(classes, batch.class_ids)]
    batch.images = 0.1 * batch.images + shade[:, None, None, None]

    class Same(FakeBatches):
        def batch(self, step: int) -> object:  # type: ignore[override]
            return batch

    torch.manual_seed(0)
    system = ClassifierTraining(Classifier(build_backbone("standin", 2), 3), classes, 1e-2, CPU)
    for step in range(60):
        losses = system.step(batch, step)
    assert losses["accuracy"] == 1
    assert system.accuracy(Same(steps_per_epoch=1)) == 1  # type: ignore[arg-type]


def test_retrieval_is_at_chance_before_training_and_perfect_on_pairs_learnt_by_heart() -> None:
    torch.manual_seed(0)
    encoder = DamsmImageEncoder(build_backbone("standin", 8), 8)
    system = DamsmTraining({**SPEC, "lr": 1e-2}, text_encoder(), encoder, FakeBatches.steps_per_epoch, CPU)
    batch = FakeBatches(size=6, side=16).batch(1)
    batch.class_ids = torch.arange(6)
    batch.tokens, batch.lengths = torch.arange(1, 7)[:, None], torch.ones(6, dtype=torch.int64)
    batch.images = (2 * torch.rand(6, 3, 1, 1) - 1).expand(6, 3, 16, 16)

    class Same(FakeBatches):
        def batch(self, step: int) -> object:  # type: ignore[override]
            return batch

    before = system.retrieval(Same(steps_per_epoch=1))  # type: ignore[arg-type]
    for step in range(150):
        torch.manual_seed(step)
        system.step(batch, step % 5 + 1)
    assert system.retrieval(Same(steps_per_epoch=1)) > max(before, 0.8)  # type: ignore[arg-type]
    assert system.text_encoder.training
