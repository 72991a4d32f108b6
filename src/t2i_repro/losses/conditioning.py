"""The KL term of conditioning augmentation, L_CA."""

from torch import Tensor


def conditioning_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(0, 1)), the *mean* over batch and dimensions as released (papers write the sum)."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).mean()
