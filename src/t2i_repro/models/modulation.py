"""Attention modulation (MS-GAN, ICSD-GAN Table 1). Only its outline is known; the block's inside is our design.

Known: convolution blocks "modulated by both globally and locally attended features calculated between the output
image and the text" (abstract of MS-GAN), in the place of AttnGAN's residual blocks, N_AM of them (ICSD-GAN Sec. 4.1).
"""

import torch
from torch import Tensor, nn

from t2i_repro.models.fusion import Fused, MaskForm, StageText, WordAttention, attend
from t2i_repro.models.layers import conv3x3, glu_block


class ModulatedBlock(nn.Module):
    """h + conv3x3(GLU(BN(conv3x3(BN(h) (1 + gamma) + beta)))), gamma and beta from 1x1 convolutions of [local; global].

    local: words attended by each position of h; global: the sentence, at each position as far as it agrees with h,
    sigmoid(<h, s> / sqrt(C)).
    """

    def __init__(self, channels: int, text: int, mask: MaskForm = "right") -> None:
        super().__init__()
        self.mask = mask
        self.words = nn.Conv1d(text, channels, 1, bias=False)
        self.sentence = nn.Linear(text, channels, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gamma = nn.Conv2d(2 * channels, channels, 1)
        self.beta = nn.Conv2d(2 * channels, channels, 1)
        self.layers = nn.Sequential(*glu_block(channels, channels), conv3x3(channels, channels))

    def forward(self, features: Tensor, text: StageText) -> Tensor:
        words = self.words(text.words)
        local, _ = attend(features, words, words, text.padding, self.mask)
        sentence = self.sentence(text.sentence)[:, :, None, None]
        agreement = torch.sigmoid((features * sentence).sum(1, keepdim=True) * features.shape[1] ** -0.5)
        seen = torch.cat([local, sentence * agreement], dim=1)
        modulated = torch.addcmul(self.beta(seen), self.norm(features), 1 + self.gamma(seen))
        return features + self.layers(modulated)


class AttentionModulation(nn.Module):
    """ICSD-GAN Table 1, G_1 and G_2: Attn, Concat, then ``blocks`` AM blocks."""

    def __init__(self, channels: int, text: int, blocks: int = 1, mask: MaskForm = "right") -> None:
        super().__init__()
        self.attention = WordAttention(channels, text, mask)
        self.channels = self.attention.channels
        self.blocks = nn.ModuleList(ModulatedBlock(self.channels, text, mask) for _ in range(blocks))

    def forward(self, features: Tensor, text: StageText) -> Fused:
        fused: Fused = self.attention(features, text)
        features = fused.features
        for block in self.blocks:
            features = block(features, text)
        return Fused(features, fused.attention)
