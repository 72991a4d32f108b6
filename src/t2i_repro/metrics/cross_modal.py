"""Cross-Model Distance of image and text embeddings (GR-GAN, Eq. 10 to 12), in float64.

    CMD = Dis(f, r) + |Dis(f, l) - Dis(r, l)|          (Eq. 10; Dis is the Frechet distance, the last part is ITDis)

f: generated images, r: real images, l: captions, all embedded by CLIP ViT-B/32. GR-GAN prints it for MS-COCO,
30,000 images: in Table 1 of itself, AttnGAN, DM-GAN, OP-GAN and CP-GAN; of ablations in Tables 2, 4 and 6.

Two protocols, which do not rank models alike:

``eq10-unit``    Eq. 10 on embeddings of unit length.
``grgan-code``   what the released code computes, and the printed table is comparable with: images of length 10, texts
                 of length 1, no absolute value (so CMD may fall below Dis(f, r), even below 0). On the unit sphere the
                 trace terms cancel in ITDis, so it is 100 Dis(f, r) + 10 (Dis(f, l) - Dis(r, l)) of ``eq10-unit``, but
                 for covariances' N - 1. The released code also squashes images to 224 px without CLIP's normalisation;
                 that is up to the feature extractor.

CMD rises as the number of generated images falls: compare at equal N, with ``uncertainty.noise_floor``.
"""

from dataclasses import dataclass
from functools import partial

from t2i_repro.errors import ReproError
from t2i_repro.metrics.frechet import frechet_distance, frechet_from_moments, same_rows
from t2i_repro.metrics.hashing import Ids
from t2i_repro.metrics.moments import Array, Moments
from t2i_repro.metrics.retrieval_at_k import unit, unit_blocks
from t2i_repro.metrics.uncertainty import Floor, Interval, jackknife_of_moments, noise_floor

FAKE, REAL, TEXT = "generated images", "real images", "captions"
LARGE = 16384  # embeddings of a set that are held in memory: 64 MB at 512 dimensions


@dataclass(frozen=True)
class Protocol:
    """Length of image and text embeddings, and whether ITDis keeps its sign."""

    image_scale: float
    text_scale: float
    signed: bool


PROTOCOLS = {"eq10-unit": Protocol(1.0, 1.0, False), "grgan-code": Protocol(10.0, 1.0, True)}


@dataclass(frozen=True)
class CrossModalDistance:
    """``cmd``: the distance. ``itdis``: its text part, absolute or signed as the protocol has it. ``bias``: Dis(f, l) -
    Dis(r, l), always signed (Eq. 11)."""

    cmd: float
    itdis: float
    fake_real: float
    fake_text: float
    real_text: float
    bias: float
    protocol: Protocol


def cross_modal_distance(
    fake: Array, real: Array, text: Array, protocol: str | Protocol = "eq10-unit"
) -> CrossModalDistance:
    """CMD of raw embeddings [N, d], [M, d], [C, d] in one space; any length (they are normalised here), any N, M, C >=
    2.

    ``protocol``: "eq10-unit" or "grgan-code" (above), or ``Protocol(image_scale, text_scale, signed)`` for any other
    scaling, say ``Protocol(10, 10, False)``. The result has CMD, Dis(f, r), Dis(f, l), Dis(r, l) and ITDis.
    Equal ``fake`` and ``real`` sets give exactly 0. Raises ReproError on wrong shapes, zero or non-finite rows, or an
    unknown protocol.
    """
    named = _protocol(protocol)
    if max(len(fake), len(real), len(text)) > LARGE:
        r_moments = _on_the_sphere(real, REAL)
        f_moments = r_moments if same_rows(fake, real) else _on_the_sphere(fake, FAKE)
        return cross_modal_from_moments(f_moments, r_moments, _on_the_sphere(text, TEXT), named)
    f = unit(fake, FAKE) * named.image_scale
    r = unit(real, REAL) * named.image_scale
    t = unit(text, TEXT) * named.text_scale
    real_text = frechet_distance(r, t)
    return _combine(frechet_distance(f, r), real_text if same_rows(f, r) else frechet_distance(f, t), real_text, named)


def cross_modal_from_moments(
    fake: Moments,
    real: Moments,
    text: Moments,
    protocol: str | Protocol = "eq10-unit",
    scale: tuple[float, float] = (1.0, 1.0),
) -> CrossModalDistance:
    """CMD of moments of embeddings whose lengths are ``scale`` (images, texts): (1, 1) for unit length, (10, 1) for
    those that GR-GAN ships. ``Moments(count, mean, covariance * (count - 1))`` makes them from a mean and a
    covariance."""
    named = _protocol(protocol)
    image, words = named.image_scale / scale[0], named.text_scale / scale[1]
    f, r, t = _scaled(fake, image), _scaled(real, image), _scaled(text, words)
    return _combine(_distance(f, r), _distance(f, t), _distance(r, t), named)


def cross_modal_interval(
    fake: Array,
    real: Array,
    text: Array,
    protocol: str | Protocol = "eq10-unit",
    groups: int = 20,
    ids: Ids | None = None,
    confidence: float = 0.95,
    of: str = "cmd",
) -> Interval:
    """Jackknife interval of CMD (``of`` itdis: of that part) over the generated images; real images and captions belong
    to the protocol."""
    r, t = _on_the_sphere(real, REAL), _on_the_sphere(text, TEXT)
    return jackknife_of_moments(
        lambda f: float(getattr(cross_modal_from_moments(f, r, t, protocol), of)),
        fake,
        groups,
        ids,
        confidence,
        partial(_on_the_sphere, name=FAKE),
    )


def cross_modal_noise_floor(
    real: Array, text: Array, samples: int, protocol: str | Protocol = "eq10-unit", repeats: int = 10, seed: int = 0
) -> Floor:
    """CMD of a perfect generator (embeddings drawn from N(mu_r, eps_r)) at ``samples`` images."""
    r, t = _on_the_sphere(real, REAL), _on_the_sphere(text, TEXT)
    return noise_floor(lambda f: cross_modal_from_moments(f, r, t, protocol).cmd, r, samples, repeats, seed)


def _on_the_sphere(embeddings: Array, name: str) -> Moments:
    """Moments of embeddings [N, d] scaled to length 1, a block of them at a time."""
    return Moments.of_blocks(unit_blocks(embeddings, name))


def _protocol(protocol: str | Protocol) -> Protocol:
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ReproError(f"CMD: found protocol {protocol!r}; expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol]


def _combine(fake_real: float, fake_text: float, real_text: float, protocol: Protocol) -> CrossModalDistance:
    bias = fake_text - real_text
    itdis = bias if protocol.signed else abs(bias)
    return CrossModalDistance(fake_real + itdis, itdis, fake_real, fake_text, real_text, bias, protocol)


def _scaled(moments: Moments, scale: float) -> Moments:
    return moments if scale == 1 else Moments(moments.count, moments.mean * scale, moments.scatter * scale**2)


def _distance(first: Moments, second: Moments) -> float:
    return frechet_from_moments(first.mean, first.covariance, second.mean, second.covariance)
