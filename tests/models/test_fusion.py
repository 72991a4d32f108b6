"""Initial stages and text fusions, each against its equation written out."""

import pytest
import torch
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.fusion import (
    AdaptiveGate,
    AttentionModulation,
    Concatenation,
    DynamicMemory,
    ModulatedBlock,
    NoFusion,
    SpatialMemories,
    SpatialMemory,
    StageText,
    WordAttention,
    attend,
)
from t2i_repro.models.multi_stage import ConditioningAugmentation, NGramStage, RefinementStage, SentenceStage

B, C, D, T, S = 3, 4, 5, 6, 4


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def padding_of(*lengths: int, words: int = T) -> Tensor:
    return torch.arange(words) >= torch.tensor(lengths)[:, None]


def stage_text(padding: Tensor | None = None) -> StageText:
    return StageText(torch.randn(B, D, T), padding, torch.randn(B, D), torch.randn(B, 2))


# Attention


def test_attention_by_a_loop() -> None:
    query, keys, values = torch.randn(B, C, S, S), torch.randn(B, C, T), torch.randn(B, 2, T)
    padding = padding_of(6, 2, 1)
    context, attention = attend(query, keys, values, padding)
    for b, length in enumerate((6, 2, 1)):
        for u in range(S):
            for v in range(S):
                scores = torch.stack([query[b, :, u, v] @ keys[b, :, t] for t in range(length)])
                weights = scores.exp() / scores.exp().sum()
                torch.testing.assert_close(attention[b, :length, u, v], weights)
                torch.testing.assert_close(context[b, :, u, v], values[b, :, :length] @ weights)
    assert not attention[padding].any()


def test_the_released_mask_is_that_of_another_sample() -> None:
    """Query q of sample b has the padding of sample (b Q + q) mod B; with a batch of one the two masks agree."""
    query, keys = torch.randn(B, C, S, S), torch.randn(B, C, T)
    padding = padding_of(6, 2, 1)
    _, attention = attend(query, keys, keys, padding, "released")
    for b in range(B):
        for q in range(S * S):
            owner = (b * S * S + q) % B
            assert torch.equal(attention[b, :, q // S, q % S] == 0, padding[owner])
    one = [attend(query[1:2], keys[1:2], keys[1:2], padding[1:2], form)[1] for form in ("right", "released")]
    assert torch.equal(*one)


def test_word_attention_projects_the_words_once() -> None:
    fusion, text = WordAttention(C, D), stage_text(padding_of(6, 3, 2))
    features = torch.randn(B, C, S, S)
    fused = fusion(features, text)
    words = torch.einsum("cd,bdt->bct", fusion.project.weight[:, :, 0], text.words)
    context, _ = attend(features, words, words, text.padding)
    torch.testing.assert_close(fused.features, torch.cat([features, context], dim=1))


def test_concatenation_puts_the_code_first() -> None:
    fusion, text = Concatenation(C, 2), stage_text()
    seen: list[Tensor] = []
    fusion.joint[0].register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    features = torch.randn(B, C, S, S)
    assert fusion(features, text).features.shape == (B, C, S, S)
    assert torch.equal(seen[0][:, 2:], features)
    assert torch.equal(seen[0][:, :2, 1, 2], text.code)


# Dynamic memory


def test_dynamic_memory_by_a_loop() -> None:
    fusion, text = DynamicMemory(C, D), stage_text(padding_of(6, 3, 1))
    features = torch.randn(B, C, S, S)
    fused = fusion(features, text)

    def linear(layer: nn.Module, x: Tensor) -> Tensor:
        bias = layer.bias if layer.bias is not None else 0.0
        return layer.weight.flatten(1) @ x + bias  # type: ignore[operator,union-attr]

    for b, length in enumerate((6, 3, 1)):
        mean = features[b].mean(dim=(1, 2))
        keys, values = [], []
        for t in range(length):
            word = text.words[b, :, t]
            gate = torch.sigmoid(linear(fusion.gate_words, word) + linear(fusion.gate_image, mean))
            slot = linear(fusion.write_words[0], word).relu() * gate
            slot = slot + linear(fusion.write_image[0], mean).relu() * (1 - gate)
            keys.append(linear(fusion.key[0], slot).relu())
            values.append(linear(fusion.value[0], slot).relu())
        for u, v in [(0, 0), (1, 3), (3, 2)]:
            pixel = features[b, :, u, v]
            weights = torch.stack([pixel @ key for key in keys]).softmax(0)
            answer = torch.stack(values, dim=1) @ weights
            gate = torch.sigmoid(linear(fusion.response, torch.cat([pixel, answer])))
            response = pixel * (1 - gate) + answer * gate
            torch.testing.assert_close(fused.features[b, :, u, v], torch.cat([response, response]))


def test_the_written_mean_is_detached() -> None:
    fusion, text = DynamicMemory(C, D), stage_text()
    features = torch.randn(B, C, S, S, requires_grad=True)
    fusion.slots(features, text.words).sum().backward()
    assert features.grad is None


def test_gates() -> None:
    a, b = torch.randn(B, C, S, S), torch.randn(B, C, S, S)
    gate = AdaptiveGate(C)
    g = torch.sigmoid(gate.conv(torch.cat([a, b], dim=1)))
    assert g.shape[1] == 1
    torch.testing.assert_close(gate(a, b), a * g + b * (1 - g))
    assert AdaptiveGate(C, "printed").conv.weight.shape[0] == C
    assert DynamicMemory(C, D, gate="printed").response.weight.shape[0] == C


@pytest.mark.parametrize("kind", [DynamicMemory, WordAttention])
def test_the_sentence_stage_sees_one_vector_everywhere(kind: type[nn.Module]) -> None:
    """GR-GAN's S stage: what the text gives is constant over the image, and one slot equals L copies of it."""
    fusion, text = kind(C, D), stage_text(padding_of(6, 3, 1))
    stage = RefinementStage(fusion, 1, "sentence").eval()
    features = torch.randn(B, C, S, S)
    grown, fused = stage(features, text)
    assert fused.attention[0].shape[1] == 1
    context = fused.refinements[0] if fused.refinements else fused.features[:, C:]
    torch.testing.assert_close(context, context[:, :, :1, :1].expand_as(context))
    copies = text.sentence[:, :, None].expand(-1, -1, T)
    repeated = fusion(features, StageText(copies, text.padding, text.sentence, text.code))
    torch.testing.assert_close(fused.features, repeated.features)
    other = StageText(torch.randn(B, D, T), text.padding, text.sentence, text.code)
    assert torch.equal(stage(features, other)[0], grown)


def test_no_fusion_ignores_the_text() -> None:
    features = torch.randn(B, C, S, S)
    assert torch.equal(NoFusion(C)(features, stage_text()).features, torch.cat([features, features], dim=1))


# Spatial dynamic memory


@pytest.mark.parametrize("kernel", [1, 3])
def test_spatial_memory_by_a_loop_over_pixels(kernel: int) -> None:
    """Eq. (5)-(14) word by word, cell by cell, pixel by pixel; queries from another map than the memory."""
    grid, p = 2, S // 2
    head = SpatialMemory(C, D, grid, kernel)
    previous, source = torch.randn(B, C, S, S), torch.randn(B, C, S, S)
    words, lengths = torch.randn(B, D, T), (6, 3, 1)
    refined, attention = head(previous, source, words, padding_of(*lengths))
    assert refined.shape == (B, C, S, S)
    queries = [layer(source) for layer in (head.query_global, head.query_grid, head.query_pixel)]
    for b, length in enumerate(lengths):
        cells = torch.zeros(C, grid, grid)
        for i in range(grid):
            for j in range(grid):
                cells[:, i, j] = previous[b, :, i * p : (i + 1) * p, j * p : (j + 1) * p].mean(dim=(1, 2))
        written = head.write_cells(cells[None])[0]
        memory = torch.zeros(length, 2 * C, grid, grid)
        for word in range(length):
            w = words[b, :, word]
            encoded = head.write_words.weight[:, :, 0] @ w + head.write_words.bias
            for i in range(grid):
                for j in range(grid):
                    gate = torch.sigmoid(head.gate_words.weight[0] @ w + head.gate_cells[i, j] @ cells[:, i, j])
                    memory[word, :, i, j] = encoded * gate + written[:, i, j] * (1 - gate)
        keys, values = head.key(memory), head.value(memory)
        for u in range(S):
            for v in range(S):
                i, j = u // p, v // p
                cell = queries[1][b, :, i * p : (i + 1) * p, j * p : (j + 1) * p]
                q = torch.cat([queries[0][b].mean(dim=(1, 2)), cell.mean(dim=(1, 2)), queries[2][b, :, u, v]])
                weights = (keys[:, :, i, j] @ q).softmax(0)
                torch.testing.assert_close(attention[b, :length, u, v], weights)
                torch.testing.assert_close(refined[b, :, u, v], weights @ values[:, :, i, j])
        assert not attention[b, length:].any()


def test_heads_look_one_after_another() -> None:
    """Eq. (15), (16): every head's memory is of R_{k-1}, its query of U_{t-1}; then a skip to R_{k-1}."""
    fusion, text = SpatialMemories(C, D, heads=3, grid=2), stage_text(padding_of(6, 3, 1))
    features = torch.randn(B, C, S, S)
    fused = fusion(features, text)
    updated = features
    for head, fuse, expected in zip(fusion.heads, fusion.fuses, fused.refinements, strict=True):
        refined, _ = head(features, updated, text.words, text.padding)
        torch.testing.assert_close(refined, expected)
        updated = fuse(updated, refined)
    assert fusion.skip is not None
    response = fusion.skip(updated, features)
    torch.testing.assert_close(fused.features, torch.cat([response, response], dim=1))
    assert len(fused.attention) == 3


def test_a_single_head_has_no_skip() -> None:
    fusion, text = SpatialMemories(C, D, heads=1, grid=2), stage_text()
    features = torch.randn(B, C, S, S)
    refined, _ = fusion.heads[0](features, features, text.words, None)
    updated = fusion.fuses[0](features, refined)
    assert fusion.skip is None
    torch.testing.assert_close(fusion(features, text).features[:, :C], updated)


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ReproError, match=r"fusion\.grid: 3 does not divide the 4 px"):
        SpatialMemories(C, D, heads=1, grid=3)(torch.randn(B, C, S, S), stage_text())


# Initial stages


def test_conditioning_augmentation() -> None:
    augment = ConditioningAugmentation(D, 2)
    sentence, noise = torch.randn(B, D), torch.randn(B, 2)
    code, mu, logvar = augment(sentence, noise)
    gated = augment.fc(sentence)
    gated = gated[:, :4] * torch.sigmoid(gated[:, 4:])
    torch.testing.assert_close(mu, gated[:, :2])
    torch.testing.assert_close(logvar, gated[:, 2:])
    torch.testing.assert_close(code, mu + noise * (logvar / 2).exp())


def test_the_sentence_stage_starts_from_code_then_noise() -> None:
    stage = SentenceStage(2, noise_dim=3, cond_dim=4, base_size=2, doublings=2)
    seen: list[Tensor] = []
    stage.fc.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    noise, code = torch.randn(B, 3), torch.randn(B, 4)
    assert stage(noise, code, None, None).shape == (B, 2, 8, 8)
    assert torch.equal(seen[0], torch.cat([code, noise], dim=1))


def ngram_stage(ngram: int = 3, words: int = D) -> NGramStage:
    return NGramStage(2, 3, 4, words, base_size=2, doublings=1, ngram=ngram).eval()


@pytest.mark.parametrize(("ngram", "tails"), [(1, 18), (2, 17), (3, 16)])
def test_eighteen_words_make_as_many_tails_as_n_grams(ngram: int, tails: int) -> None:
    features, exists = ngram_stage(ngram).tails(
        torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, D, 18), padding_of(18, 18, words=18)
    )
    assert exists.sum(1).tolist() == [tails, tails]
    assert len(features) == 2 * tails
    assert features.shape[1:] == (2, 4, 4)


def test_tails_by_a_loop() -> None:
    """Eq. (2), (3): each n-gram of (s', z, w) on its own, fused from left to right."""
    stage = ngram_stage()
    noise, code, words = torch.randn(B, 3), torch.randn(B, 4), torch.randn(B, D, T)
    lengths = (6, 4, 2)
    features = stage(noise, code, words, padding_of(*lengths))
    for b, length in enumerate(lengths):
        own = torch.cat([words[b, :, :length], torch.zeros(D, max(0, 3 - length))], dim=1)
        fused: Tensor | None = None
        for t in range(own.shape[1] - 2):
            columns = [torch.cat([code[b], noise[b], own[:, t + k]]) for k in range(3)]
            f = sum(stage.ngrams.weight[:, :, k] @ column for k, column in enumerate(columns))
            tail = stage.upsample(stage.norm(f[None]).view(1, -1, 2, 2))  # type: ignore[index]
            fused = tail if fused is None else stage.fuse(fused, tail)
        assert fused is not None
        torch.testing.assert_close(features[b], fused[0])


def test_padding_never_reaches_a_tail() -> None:
    stage = ngram_stage()
    noise, code, words = torch.randn(B, 3), torch.randn(B, 4), torch.randn(B, D, T)
    features = stage(noise, code, words, padding_of(5, 3, 1))
    junk = words.masked_fill(padding_of(5, 3, 1)[:, None], 1e3)
    assert torch.equal(stage(noise, code, junk, padding_of(5, 3, 1)), features)
    shorter = stage(noise, code, words[:, :, :5], padding_of(5, 3, 1, words=5))
    torch.testing.assert_close(shorter, features)


# Attention modulation


def test_attention_modulation() -> None:
    fusion, text = AttentionModulation(C, D, blocks=2), stage_text(padding_of(6, 3, 1))
    features = torch.randn(B, C, S, S)
    expected = fusion.attention(features, text).features
    for block in fusion.blocks:
        expected = block(expected, text)
    torch.testing.assert_close(fusion(features, text).features, expected)
    assert expected.shape == (B, 2 * C, S, S)


def test_a_modulated_block_hears_words_and_sentence() -> None:
    block, text = ModulatedBlock(C, D).eval(), stage_text(padding_of(6, 3, 1))
    features = torch.randn(B, C, S, S)
    out = block(features, text)
    for other in (
        StageText(torch.randn(B, D, T), text.padding, text.sentence, text.code),
        StageText(text.words, text.padding, torch.randn(B, D), text.code),
    ):
        assert (block(features, other) - out).abs().max() > 1e-6
    with torch.no_grad():
        block.layers[-1].weight.zero_()  # type: ignore[operator]
    assert torch.equal(block(features, text), features)
