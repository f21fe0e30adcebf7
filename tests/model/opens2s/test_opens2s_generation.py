from copy import deepcopy

import pytest
import torch

from model.opens2s.errors import RequestError, SequenceError
from model.opens2s.generation import Limits, generate, stream
from model.opens2s.interleave import Units, interleave
from model.opens2s.omnispeech import SPEAKER_WIDTH
from model.opens2s.sampling import Sampling
from model.opens2s.splice import Batch, splice
from model.opens2s.tokens import AUDIO
from tests.model.opens2s.small import LM, build, prompt

PROMPT = prompt(3, AUDIO, 4, 5)
UNITS = range(10, 48)
TEXT_EOS, UNIT_EOS = (39,), (49,)
GREEDY = Sampling()
BOLD = Sampling(temperature=5.0)  # nearly every id is as likely as any other


def run(model, text=7, units=30, *, text_eos=TEXT_EOS, unit_eos=UNIT_EOS, sampling=GREEDY, **more):
    generator = torch.Generator().manual_seed(more.pop("seed", 0))
    limits = {"text": Limits(text, text_eos, sampling), "units": Limits(units, unit_eos, sampling)}
    return generate(model, PROMPT, **limits, unit_ids=more.pop("unit_ids", UNITS), generator=generator, **more)


@pytest.mark.parametrize("seed", range(5))
def test_only_units_sound_and_all_rounds_but_the_last_are_full(seed):
    made = run(build(), sampling=BOLD, seed=seed)
    assert set(made.unit_token_ids) <= set(UNITS)
    assert [len(text) for text, _ in made.rounds[:-1]] == [2] * (len(made.rounds) - 1)
    assert [len(units) for _, units in made.rounds[:-1]] == [3] * (len(made.rounds) - 1)


def test_upstream_draws_any_id_and_gives_out_the_end():
    made = [run(build("upstream"), sampling=BOLD, seed=seed) for seed in range(5)]
    ids = {unit for one in made for unit in one.unit_token_ids}
    assert ids - set(UNITS) - set(UNIT_EOS)
    assert any(UNIT_EOS[0] in one.unit_token_ids for one in made)


def test_the_end_of_units_waits_for_the_end_of_the_text():
    upstream = build("upstream")
    early = (run(upstream).unit_token_ids[1],)  # what upstream says second is now its EOS
    made = run(upstream, unit_eos=early)
    assert made.rounds[0][1][-1] in early
    assert len(made.rounds[0][1]) <= 2
    assert made.rounds[1][0], "and it goes on with text"
    mended = run(build(), unit_eos=early, unit_ids=range(50))
    assert early[0] not in mended.unit_token_ids
    assert len(mended.rounds[0][1]) == 3


def test_text_is_finished_when_units_are_cut_off():
    made = run(build(), units=4)
    assert (len(made.text_ids), len(made.unit_token_ids)) == (7, 4)
    assert made.units_truncated
    upstream = run(build("upstream"), units=4)
    assert (len(upstream.text_ids), len(upstream.unit_token_ids)) == (6, 4)
    assert upstream.text_truncated
    assert upstream.units_truncated


def test_ends_are_told_apart_from_cuts():
    cut = run(build())
    assert cut.text_truncated
    assert len(cut.unit_token_ids) == 30
    ended = run(build(), text_eos=(cut.text_ids[0],))
    assert ended.text_ids == cut.text_ids[:1]
    assert not ended.text_truncated
    last = [run(build(), sampling=BOLD, seed=seed, unit_ids=range(10, 12)) for seed in range(8)]
    assert any(not one.units_truncated and len(one.unit_token_ids) < 30 for one in last)


def test_no_units_is_an_answer():
    made = run(build(), units=0)
    assert made.unit_token_ids == ()
    assert made.units_truncated
    assert len(made.text_ids) == 7


def test_the_speaker_is_heard():
    voice = torch.randn(1, 1, SPEAKER_WIDTH, generator=torch.Generator().manual_seed(5))
    for compat, alike in ((None, False), ("upstream", True)):
        model = build(compat)
        assert (run(model, speaker=voice) == run(model)) is alike
    assert run(build(), speaker=torch.zeros(1, 1, SPEAKER_WIDTH)) == run(build())


def test_the_same_seed_says_the_same():
    model = build()
    assert run(model, sampling=BOLD, seed=1) == run(model, sampling=BOLD, seed=1)
    assert run(model, sampling=BOLD, seed=1) != run(model, sampling=BOLD, seed=2)


def test_the_models_own_settings_stay_as_they_are():
    model = build("upstream")
    before = [deepcopy(lm.generation_config.to_dict()) for lm in (model.llm_model, model.tts_lm_model)]
    run(model)
    assert [lm.generation_config.to_dict() for lm in (model.llm_model, model.tts_lm_model)] == before


def test_every_token_comes_as_it_is_drawn_and_each_stream_ends_once():
    tokens = list(stream(build(), PROMPT, Limits(5, TEXT_EOS), Limits(20, UNIT_EOS), UNITS))
    shown = "".join(("tu" if token.id is not None else "TU")[token.stream == "units"] for token in tokens)
    assert shown == "ttuuuttuuutT" + "u" * 14 + "U"
    short = list(stream(build(), PROMPT, Limits(5, TEXT_EOS), Limits(4, UNIT_EOS), UNITS))
    shown = "".join(("tu" if token.id is not None else "TU")[token.stream == "units"] for token in short)
    assert shown == "ttuuuttuUtT"


@torch.inference_mode()
def test_what_was_drawn_is_what_one_teacher_forced_pass_would_draw():
    model = build()
    made = run(model)
    embed = model.llm_model.get_input_embeddings()
    start = splice(model, PROMPT).embeddings
    text = embed(torch.tensor([made.text_ids]))
    states = model.llm_model.base_model(inputs_embeds=torch.cat([start, text], 1))[0][:, start.shape[1] - 1 : -1]
    assert model.llm_model.lm_head(states).argmax(-1).tolist() == [list(made.text_ids)]
    ids = torch.tensor([made.unit_token_ids])
    row = interleave(model, states, torch.ones(states.shape[:2]), Units(ids, torch.ones_like(ids)))
    logits = model.tts_lm_model(inputs_embeds=row.embeddings).logits[0, :-1]
    said = row.labels[0, 1:] >= 0
    closed = torch.tensor([place not in (*UNITS, *UNIT_EOS) for place in range(50)])
    best = logits.masked_fill(closed, -torch.inf)[said].argmax(-1)
    assert best.tolist() == list(made.unit_token_ids)


def test_limits_of_a_file():
    data = {"max_new_tokens": 9, "eos_token_id": 3}
    assert Limits.from_config(data, BOLD) == Limits(9, (3,), BOLD)
    assert Limits.from_config({**data, "eos_token_id": [3, 4]}, BOLD).eos == (3, 4)
    without = {"eos_token_id": 3}
    assert Limits.from_config(without, BOLD, compat="upstream").budget == 512
    with pytest.raises(RequestError, match="max_new_tokens"):
        Limits.from_config(without, BOLD)
    with pytest.raises(RequestError, match="eos_token_id"):
        Limits.from_config({"max_new_tokens": 9}, BOLD)


@pytest.mark.parametrize(("budget", "eos"), [(-1, (1,)), (2.5, (1,)), (5, ()), (5, (-1,))])
def test_limits_out_of_range_are_refused(budget, eos):
    with pytest.raises(RequestError):
        Limits(budget, eos)


def test_requests_that_do_not_fit_the_model_are_refused():
    model = build()
    with pytest.raises(RequestError, match="at least 1"):
        run(model, text=0)
    for ids, eos in ((range(10, 51), UNIT_EOS), (range(-1, 5), UNIT_EOS), (UNITS, (50,)), (range(0), UNIT_EOS)):
        with pytest.raises(RequestError, match="unit ids"):
            run(model, unit_ids=ids, unit_eos=eos)


def test_contexts_have_ends():
    text, units = Limits(50, TEXT_EOS), Limits(500, UNIT_EOS)
    long = Batch(torch.ones(1, 250, dtype=torch.long))
    made = generate(build(), long, text=text, units=units, unit_ids=UNITS)
    assert len(made.text_ids) == LM["max_position_embeddings"] - 250
    assert len(made.unit_token_ids) == LM["max_position_embeddings"] - 1 - len(made.text_ids)
    assert made.text_truncated
    assert made.units_truncated
    with pytest.raises(SequenceError, match="256 positions"):
        generate(build(), Batch(torch.ones(1, 256, dtype=torch.long)), text=text, units=units)
    with pytest.raises(SequenceError, match="2 rows"):
        generate(build(), Batch(torch.ones(2, 4, dtype=torch.long)), text=text, units=units)
