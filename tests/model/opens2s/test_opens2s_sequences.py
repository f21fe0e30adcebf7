from dataclasses import replace

import pytest
import torch

from model.opens2s.errors import SequenceError
from model.opens2s.interleave import Units, interleave, losses, order, shifted_cross_entropy, spans_of
from model.opens2s.omnispeech import SPEAKER_WIDTH
from model.opens2s.splice import Batch, splice
from model.opens2s.tokens import AUDIO, IGNORE
from tests.model.opens2s.small import WINDOW, build, clips, prompt

HERE = AUDIO


def batch():
    """Two rows, three clips, the second row shorter; one spoken span in each."""
    features, mask = clips(30, 12, 40)
    ids = torch.tensor([[3, HERE, 4, HERE, 5, 6, 7, 8], [9, HERE, 10, 11, 12, 0, 0, 0]])
    present = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0, 0, 0]])
    labels = torch.where(types == 1, ids, IGNORE)
    return Batch(ids, present, labels, types, features, mask)


def units(*counts):
    ids = torch.arange(max(counts))[None].expand(len(counts), -1) % 40
    return Units(ids, (torch.arange(max(counts)) < torch.tensor(counts)[:, None]).long())


@pytest.mark.parametrize("left", [False, True])
@torch.inference_mode()
def test_clips_go_where_their_placeholders_are(left):
    model, given = build(), batch()
    found = splice(model, given, left=left)
    clip, clip_mask = model.encode(given.features, given.features_mask)
    sizes = clip_mask.sum(1).tolist()
    embed = model.llm_model.get_input_embeddings()
    rows = [
        torch.cat([embed(torch.tensor([3])), clip[0, : sizes[0]], embed(torch.tensor([4])), clip[1, : sizes[1]],
                   embed(torch.tensor([5, 6, 7, 8]))]),
        torch.cat([embed(torch.tensor([9])), clip[2, : sizes[2]], embed(torch.tensor([10, 11, 12]))]),
    ]  # fmt: skip
    for row, present, wanted in zip(found.embeddings, found.mask.bool(), rows, strict=True):
        assert torch.equal(row[present], wanted)
        assert not row[~present].any()
    assert bool(found.mask[1, 0]) is not left
    assert found.types[found.mask == 0].unique().tolist() == [IGNORE]
    assert found.labels[found.types == 1].tolist() == [5, 6, 7, 10, 11, 12]


@torch.inference_mode()
def test_what_is_not_given_is_not_made_up():
    model, given = build(), batch()
    found = splice(model, Batch(given.ids[:1], features=given.features[:2], features_mask=given.features_mask[:2]))
    assert (found.mask, found.labels, found.types) == (None, None, None)
    plain = splice(model, Batch(torch.tensor([[1, 2]])))
    assert torch.equal(plain.embeddings, model.llm_model.get_input_embeddings()(torch.tensor([[1, 2]])))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Batch(torch.tensor([[1, HERE]])), "1 placeholders for 0 clips"),
        (replace(prompt(1, HERE), ids=torch.tensor([[HERE, HERE]])), "2 placeholders for 1 clips"),
        (Batch(torch.tensor([[1, 40]])), "from 1 to 40"),
        (Batch(torch.tensor([[1, -1]])), "from -1"),
    ],
)
def test_ids_that_do_not_fit_are_refused(given, said):
    with pytest.raises(SequenceError, match=said):
        splice(build(), given)


def test_only_upstream_trains_on_a_dummy_clip():
    silent = replace(batch(), ids=batch().ids.clamp(min=0), features=None, features_mask=None)
    upstream = splice(build("upstream").train(), silent)
    length = build().audio_encoder_model.output_lengths(WINDOW)
    for _ in range(2):
        length = (length - 1) // 2 + 1
    assert upstream.embeddings.shape[1] == 8 + length
    assert upstream.mask.sum(1).tolist() == [8 + length, 5 + length]
    assert upstream.labels[1, 5 : 5 + length].unique().tolist() == [IGNORE]
    assert splice(build().train(), silent).embeddings.shape[1] == 8
    assert splice(build("upstream"), silent).embeddings.shape[1] == 8


def test_the_order_of_states_and_units():
    words = "".join("tu"[is_unit] for is_unit, _ in order(5, 10, (2, 3)))
    assert words == "ttuuuttuuutuuuu"
    assert "".join("tu"[is_unit] for is_unit, _ in order(5, 2, (2, 3))) == "ttuuttt"
    assert [i for is_unit, i in order(5, 10, (2, 3)) if is_unit] == list(range(10))
    assert list(order(0, 0, (2, 3))) == []


def test_spans_may_touch_the_ends_of_a_row():
    types = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [IGNORE, 0, 1, IGNORE]])
    assert spans_of(types) == [(0, 0, 2), (0, 3, 4), (2, 2, 3)]


@torch.inference_mode()
def test_each_speaker_comes_first_and_labels_are_its_units():
    model = build()
    states = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(3))
    given = replace(units(7, 2), speakers=torch.ones(2, 1, SPEAKER_WIDTH))
    row = interleave(model, states, batch().types, given)
    assert row.embeddings.shape == (2, 1 + 3 + 7, 14)
    assert torch.equal(row.embeddings[:, :1], model.speaker(given.speakers))
    assert row.labels[0].tolist() == [-100, -100, -100, 0, 1, 2, -100, 3, 4, 5, 6]
    assert torch.allclose(row.embeddings[0, 6], model.bridge(states[0, 6]), atol=1e-6)
    assert row.mask.sum(1).tolist() == [11, 6]
    assert not row.embeddings[1, 6:].any()
    zero = interleave(model, states, batch().types, units(7, 2))
    assert torch.equal(zero.embeddings[0, 0], model.tts_lm_model.spk_ln.bias)


def test_units_that_do_not_fit_are_refused():
    model, types = build(), batch().types
    states = torch.zeros(2, 8, 16)
    with pytest.raises(SequenceError, match="2 spoken spans and 1 rows"):
        interleave(model, states, types, units(4))
    with pytest.raises(SequenceError, match="0 spoken spans"):
        interleave(model, states, types * 0, Units(torch.zeros(0, 1), torch.zeros(0, 1)))
    too_high = Units(torch.tensor([[1, 50], [1, 2]]), torch.ones(2, 2))
    with pytest.raises(SequenceError, match="from 1 to 50"):
        interleave(model, states, types, too_high)


def test_everything_between_ear_and_mouth_learns():
    model = build().train()
    found = losses(model, batch(), replace(units(5, 4), speakers=torch.ones(2, 1, SPEAKER_WIDTH)), tts_weight=0.5)
    assert torch.allclose(found.total, found.text + 0.5 * found.units)
    found.total.backward()
    stored = {name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()}
    # the table of positions is stored, not learnt; what a key adds to every score cannot matter
    assert stored == {"audio_encoder_model.embed_positions.weight"}


def test_a_batch_that_is_not_spoken_has_one_loss():
    model = build().train()
    with torch.no_grad():
        model.llm2tts.weight[0, 0] = torch.nan  # multiplied by 0, as upstream does, it would still be NaN
    found = losses(model, batch())
    assert found.units is None
    assert torch.isfinite(found.total)
    with pytest.raises(SequenceError, match="labels"):
        losses(model, replace(batch(), labels=None))


def test_no_label_no_loss():
    assert shifted_cross_entropy(torch.zeros(1, 3, 5), torch.full((1, 3), IGNORE)) == 0
