"""torch-fidelity's Inception without its file of weights."""

from unittest import mock

import pytest
import torch
from torch import nn


def shaken(network: nn.Module) -> nn.Module:
    """Random weights, BatchNorm's included, that keep activations of order 1."""
    draw = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.1, generator=draw)
            layer.running_var.uniform_(0.5, 1.5, generator=draw)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=draw)
            nn.init.normal_(layer.bias, 0, 0.1, generator=draw)
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=draw)
    return network.eval()


def library_inception() -> nn.Module:
    """torch-fidelity's Inception of 2015 with random weights; skips the test without the library."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    network = module.FeatureExtractorInceptionV3
    with mock.patch("torch.load", return_value={}), mock.patch.object(network, "load_state_dict"):
        return shaken(network("i", ["2048", "logits_unbiased"], feature_extractor_weights_path="none"))
