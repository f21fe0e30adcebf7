"""Ids read from a checkpoint's tokenizers, and ids turned back into text as they come."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.opens2s import tiny, tokens
from model.opens2s.files import CheckpointError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny"), seed=1, units=21)


@pytest.fixture(scope="module")
def codec(folder):
    return tokens.read(folder)[1]


@pytest.fixture
def copy(folder, tmp_path):
    """A folder with the same tokenizers, to be spoilt."""
    for name in ("tokenizer.json", "generation_config.json"):
        for part in ("", "tts"):
            (tmp_path / part).mkdir(exist_ok=True)
            (tmp_path / part / name).write_bytes((folder / part / name).read_bytes())
    return tmp_path


def change(path, edit):
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def rename(old, new):
    def edit(data):
        next(token for token in data["added_tokens"] if token["content"] == old)["content"] = new

    return edit


def test_every_id_is_read_from_the_files(folder):
    ids, _ = tokens.read(folder)
    text, units = (tokens.open_tokenizer(folder / part) for part in ("", "tts"))
    assert text.id_to_token(ids.tts_start) == "<|im_tts_start|>"
    assert text.id_to_token(ids.think_end) == "</think>"
    assert [text.id_to_token(end) for end in ids.text_eos] == ["<|im_end|>", "<|endoftext|>"]
    assert units.id_to_token(ids.unit_bias + 20) == "<|audio_20|>"
    assert ids.unit_count == 21
    assert [units.id_to_token(end) for end in ids.unit_eos] == ["<|im_end|>"]
    assert ids.largest_unit == units.get_vocab_size() - 1


@pytest.mark.parametrize(
    ("part", "token"), [("", "<|im_tts_end|>"), ("", "<|im_audio_start|>"), ("", "</think>"), ("tts", "<|audio_0|>")]
)
def test_a_missing_token_is_named(copy, part, token):
    change(copy / part / "tokenizer.json", rename(token, "<|nothing|>"))
    with pytest.raises(CheckpointError) as caught:
        tokens.read(copy)
    assert token in str(caught.value)


def test_units_must_be_numbered_in_order(copy):
    def edit(data):
        for one, other in (("<|audio_5|>", "x"), ("<|audio_6|>", "<|audio_5|>"), ("x", "<|audio_6|>")):
            rename(one, other)(data)

    change(copy / "tts" / "tokenizer.json", edit)
    with pytest.raises(CheckpointError, match=r"numbers <\|audio_5\|>"):
        tokens.read(copy)


@pytest.mark.parametrize("ends", [None, [], "2", [1, "2"], True, -1])
def test_end_tokens_that_are_none_are_named(copy, ends):
    change(copy / "tts" / "generation_config.json", lambda data: data.update(eos_token_id=ends))
    with pytest.raises(CheckpointError, match="eos_token_id"):
        tokens.read(copy)


def test_an_end_token_that_is_a_unit_is_refused(copy):
    bias = tokens.read(copy)[0].unit_bias
    change(copy / "tts" / "generation_config.json", lambda data: data.update(eos_token_id=[bias + 3]))
    with pytest.raises(CheckpointError, match="also unit 3"):
        tokens.read(copy)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"model": 1}'])
def test_a_damaged_tokenizer_is_named(copy, content):
    path = copy / "tts" / "tokenizer.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match="tts"):
        tokens.read(copy)


def test_older_tokenizer_files_do_as_well(folder, tmp_path):
    """Checkpoints saved without tokenizer.json have the vocabulary, the merges and the added tokens apart."""
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = data["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges), encoding="utf-8")
    added = {str(token["id"]): {key: token[key] for key in token if key != "id"} for token in data["added_tokens"]}
    config = {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, "unk_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    older, newer = tokens.open_tokenizer(tmp_path), tokens.open_tokenizer(folder)
    text = "<|im_start|>That sounds like <think> a long day.\n\n你好<|im_tts_end|>"
    assert older.encode(text).ids == newer.encode(text).ids


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_text_comes_back_whole_and_piece_by_piece(codec, text):
    ids = codec.encode(text)
    stream = codec.stream()
    pieces = [stream.push(token) for token in ids] + [stream.end()]
    assert "".join(pieces) == codec.decode(ids)
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(-300, 500), max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_ids_give_text_as_the_library_decodes_them(folder, codec, ids):
    stream = codec.stream()
    whole = "".join(stream.push(token) for token in ids) + stream.end()
    assert whole == codec.decode(ids)
    inside = [token for token in ids if token >= 0]
    assert whole == tokens.open_tokenizer(folder).decode(inside, skip_special_tokens=True)


def test_a_character_waits_for_all_its_bytes(codec):
    ids = codec.encode("🙂")
    assert len(ids) > 1
    stream = codec.stream()
    assert [stream.push(token) for token in ids] == [""] * (len(ids) - 1) + ["🙂"]
    cut = codec.stream()
    assert cut.push(ids[0]) == ""
    assert cut.end() == "\ufffd"


def test_control_tokens_are_not_text_but_thinking_marks_are(folder):
    ids, codec = tokens.read(folder)
    assert codec.decode([ids.tts_start, *codec.encode("Hi"), ids.tts_end, ids.im_end, 10**6]) == "Hi"
    assert codec.decode([ids.think_start, ids.think_end]) == "<think></think>"
