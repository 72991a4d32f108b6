"""ITM, GR-GAN's image-text matcher (Sec. 3.2, 8.1): a frozen CLIP and a small trained head on it.

A CLIP backbone offers ``dim``, ``region_channels``, ``token_channels``, ``context`` (tokens per caption) and
    image(images [B, 3, s, s] in [-1, 1]) -> regions [B, region_channels, h, w], embedding [B, dim]
    text(tokens int64 [B, context]) -> features [B, context, token_channels], embedding [B, dim]
Its parameters never train, so a caption's features are computed once and kept (``ITM.text`` starts from them).
"""

import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import POSITION_FORMS, PositionForm, check_choice
from t2i_repro.models.base import Text
from t2i_repro.models.encoders.backbone import resize

LAYER_NORM_EPSILON = 1e-12


class Clip(nn.Module):
    """Base class of CLIP backbones."""

    dim: int
    region_channels: int
    token_channels: int
    context: int

    def image(self, images: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def end(self, tokens: Tensor) -> Tensor:
        """Position [B] of the end-of-text token: the largest id of CLIP's vocabulary."""
        return tokens.argmax(1)


class OpenClip(Clip):
    """CLIP RN101 through open_clip: regions from layer3 [1024, 14, 14], embeddings of 512; 119,688,033 parameters.

    Weights are random until loaded. Images are resized to 224 px and fed in [-1, 1], as released, without CLIP's own
    mean and deviation.
    """

    dim, region_channels, token_channels, context = 512, 1024, 512, 77
    input_size = 224

    def __init__(self) -> None:
        super().__init__()
        import open_clip  # slower to import than torch, and the stand-in does not need it

        device = torch.get_default_device()
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)  # open_clip warns that the weights are random
        try:
            self.network: Any = open_clip.create_model("RN101-quickgelu", pretrained=None, device=device)
        finally:
            logging.disable(level)

    def image(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = resize(images, self.input_size, align_corners=False)
        visual = self.network.visual
        regions = visual.layer3(visual.layer2(visual.layer1(visual.stem(images))))
        return regions, visual.attnpool(visual.layer4(regions))

    def text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        network = self.network
        states = network.token_embedding(tokens) + network.positional_embedding
        features = network.ln_final(network.transformer(states, attn_mask=network.attn_mask))
        chosen = features[torch.arange(len(tokens), device=tokens.device), self.end(tokens)]
        return features, chosen @ network.text_projection


class StandinClip(Clip):
    """A small dual encoder with CLIP's interface, trained in the DAG in place of CLIP's weights.

    Ours, no paper's; all that it influences is labelled. Images of 56 px -> regions [4 width, 14, 14] -> embedding;
    tokens -> bidirectional GRU -> features, whose value at the end-of-text token is projected. ``vocabulary`` counts
    padding 0 and the two marks; the end mark is ``vocabulary - 1``.
    """

    input_size = 56

    def __init__(self, vocabulary: int, width: int = 16, dim: int = 64, context: int = 77) -> None:
        super().__init__()
        self.dim, self.context = dim, context
        self.region_channels, self.token_channels = 4 * width, dim
        channels = ((3, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 1), (4 * width, 8 * width, 2))
        layers = [
            nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b, stride in channels
        ]
        self.local, self.final = nn.Sequential(*layers[:3]), layers[3]
        self.project_image = nn.Linear(8 * width, dim, bias=False)
        self.embedding = nn.Embedding(vocabulary, dim)
        self.recurrent = nn.GRU(dim, dim // 2, batch_first=True, bidirectional=True)
        self.project_text = nn.Linear(dim, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.0))

    def image(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions = self.local(resize(images, self.input_size, align_corners=False))
        return regions, self.project_image(self.final(regions).mean(dim=(2, 3)))

    def text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        end = self.end(tokens)
        # Packed: the backward direction starts at the caption's end, so that padding plays no part.
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), (end + 1).cpu(), batch_first=True, enforce_sorted=False
        )
        features, _ = nn.utils.rnn.pad_packed_sequence(
            self.recurrent(packed)[0], batch_first=True, total_length=tokens.shape[1]
        )
        return features, self.project_text(features[torch.arange(len(tokens), device=tokens.device), end])

    def contrast(self, images: Tensor, tokens: Tensor) -> Tensor:
        """CLIP's own loss, by which the stand-in is trained: symmetric cross-entropy over the batch's cosines."""
        image = F.normalize(self.image(images)[1], dim=1)
        text = F.normalize(self.text(tokens)[1], dim=1)
        logits = self.log_scale.exp() * image @ text.t()
        labels = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


class ITM(nn.Module):
    """Frozen CLIP and the trained head: 1,313,280 parameters on RN101.

    ``forward(images)`` -> regions [B, dim, h, w], embedding [B, dim], with gradients to the images; the interface of
    ``DamsmImageEncoder``, so that DAMSM's losses apply. The linear layers on both embeddings are in the released
    code only.
    """

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip.requires_grad_(False)
        self.dim = clip.dim
        self.project_regions = nn.Conv2d(clip.region_channels, clip.dim, 1, bias=False)
        self.project_code = nn.Linear(clip.dim, clip.dim)
        self.project_words = nn.Linear(clip.token_channels, clip.dim)
        self.norm_words = nn.LayerNorm(clip.dim, eps=LAYER_NORM_EPSILON)
        self.project_sentence = nn.Linear(clip.dim, clip.dim)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ITM":
        super().train(mode)
        self.clip.eval()
        return self

    def head_parameters(self) -> list[nn.Parameter]:
        """The trainable parameters: all outside CLIP."""
        return [p for name, p in self.named_parameters() if not name.startswith("clip.")]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions, embedding = self.clip.image(images)
        return self.project_regions(regions), self.project_code(embedding)

    def text(
        self, features: Tensor, embedding: Tensor, tokens: Tensor, words: int, positions: PositionForm = "right"
    ) -> Text:
        """Words and sentence from stored features [B, context, C] and embeddings [B, dim].

        The start mark is at position 0, so words are positions 1 to ``words``. ``right``: padding begins at the
        end mark. ``released``: the mask is read one position early (0 to words - 1, where tokens are 0), so that the
        end mark and the first padding pass for words.
        """
        check_choice("compat.itm_positions", positions, POSITION_FORMS)
        chosen = self.norm_words(self.project_words(features[:, 1 : words + 1])).transpose(1, 2)
        lengths = (self.clip.end(tokens) - 1).clamp(1, chosen.shape[2])
        if positions == "released":
            padding = tokens[:, : chosen.shape[2]] == 0
        else:
            padding = torch.arange(chosen.shape[2], device=tokens.device) >= lengths[:, None]
        return Text(chosen, self.project_sentence(embedding), lengths, padding)
