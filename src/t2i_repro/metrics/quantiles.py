"""Quantiles of the normal and of Student's distribution, for intervals. Standard library alone: tables need them."""

from math import pi, sqrt, tan
from statistics import NormalDist

from t2i_repro.errors import ReproError


def normal_quantile(confidence: float) -> float:
    """z with a share of ``confidence`` between -z and z: 1.96 for 0.95. Raises ReproError unless 0 < confidence < 1."""
    if not 0 < confidence < 1:
        raise ReproError(f"confidence: found {confidence}; expected a number between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def student_quantile(confidence: float, freedom: int) -> float:
    """t with a share of ``confidence`` between -t and t, for ``freedom`` >= 1 degrees: 12.7, 4.30, 3.16 .. for 0.95.

    Exact for 1 and 2 degrees; else the Cornish-Fisher expansion about the normal quantile (Abramowitz and Stegun
    26.7.5), 0.7% too small for 3 degrees at 0.95 and less for more.
    """
    z, n = normal_quantile(confidence), float(freedom)
    if freedom == 1:
        return tan(pi * confidence / 2)
    if freedom == 2:
        return confidence * sqrt(2 / (1 - confidence**2))
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + terms[0] / n + terms[1] / n**2 + terms[2] / n**3
