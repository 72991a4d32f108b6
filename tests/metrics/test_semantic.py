"""VS similarity: its score, its ranking network and Eq. 5."""

import numpy as np
import pytest
import torch

from t2i_repro.errors import ReproError
from t2i_repro.metrics.ranking_network import RankingNetwork, ranking_loss
from t2i_repro.metrics.semantic import vs_similarity


def test_score() -> None:
    images = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    captions = np.array([[1.0, 0.0], [0.0, -3.0], [1.0, 0.0]])
    found = vs_similarity(images, captions)
    cosines = [1, -1, np.sqrt(0.5)]
    assert found.pairs == 3
    assert found.mean == pytest.approx(np.mean(cosines))
    assert found.std == pytest.approx(np.std(cosines))
    order = [2, 0, 1]
    assert vs_similarity(images[order], captions[order]).mean == pytest.approx(found.mean, rel=1e-15)
    with pytest.raises(ReproError, match="one caption for each image"):
        vs_similarity(images, captions[:2])
    with pytest.raises(ReproError, match="row 1 is zero"):
        vs_similarity(images * [[1], [0], [1]], captions)


def batch(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return tuple(torch.nn.functional.normalize(torch.randn(count, 4, dtype=torch.float64), dim=1) for _ in range(2))


@pytest.mark.parametrize("as_printed", [False, True])
def test_loss_is_equation_5(as_printed: bool) -> None:
    images, captions = batch()
    groups = torch.tensor([3, 1, 3, 0, 2])
    expected = {None: 0.0, "groups": 0.0}
    for i in range(5):
        for j in range(5):
            positive = 0.0 if as_printed else float(images[i] @ captions[i])
            sign = -1 if as_printed else 1
            by_image = max(0.0, 0.2 - positive + sign * float(images[i] @ captions[j]))
            by_caption = max(0.0, 0.2 - positive + sign * float(captions[i] @ images[j]))
            if i != j:
                expected[None] += by_image + by_caption
            if groups[i] != groups[j]:
                expected["groups"] += by_image + by_caption
    assert float(ranking_loss(images, captions, as_printed=as_printed)) == pytest.approx(expected[None])
    assert float(ranking_loss(images, captions, groups, as_printed=as_printed)) == pytest.approx(expected["groups"])


def test_as_printed_the_loss_rewards_mismatches() -> None:
    images = torch.eye(3, dtype=torch.float64)
    alike = torch.ones(3, 3, dtype=torch.float64) / 3**0.5
    assert float(ranking_loss(images, images)) == 0
    assert float(ranking_loss(images, alike)) > 0
    assert (
        float(ranking_loss(images, images, as_printed=True)) > float(ranking_loss(images, alike, as_printed=True)) == 0
    )


def test_network() -> None:
    torch.manual_seed(0)
    network = RankingNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1536 * 512 + 1024 * 512 + 2 * 512
    assert float(network.image.weight.detach().std()) == pytest.approx((6 / (1536 + 512)) ** 0.5, rel=0.01)
    images, captions = network(torch.randn(4, 1536), torch.randn(3, 1024))
    assert (images.shape, captions.shape) == ((4, 512), (3, 512))
    torch.testing.assert_close(images.norm(dim=1), torch.ones(4))


def test_network_learns_to_match() -> None:
    torch.manual_seed(0)
    common = torch.randn(40, 6)
    images, captions = common @ torch.randn(6, 10), common @ torch.randn(6, 8)
    network = RankingNetwork(10, 8, 16)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = ranking_loss(*network(images, captions))
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = network(images, captions)
    right = vs_similarity(found[0].numpy(), found[1].numpy())
    wrong = vs_similarity(found[0].numpy(), found[1].roll(1, 0).numpy())
    assert right.mean > wrong.mean + 0.5


def test_batches_without_mismatches_are_refused() -> None:
    images, captions = batch(1)
    with pytest.raises(ReproError, match="B >= 2"):
        ranking_loss(images, captions)
