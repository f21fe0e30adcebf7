import json
import lzma

import pytest

from policies.evaluation import scenes
from policies.evaluation.scenes import SceneError

TEXT = """# a world
persona Maren
stance: strict money coach
patience: low  # comment
relationship: close
boundary: never lends money

@ pair=a01 tags=boundary,money
persona: Maren
memory: Paul promised to stop betting
said: user: Got a minute? / agent: For you, yes.
1. So I was thinking, | 0.5 | neutral | silence
2. could you lend me fifty? | 1.2 | afraid | refuse | event=sigh
reply: calm | No.
why: her boundary

@ pair=a01
persona: Maren
1. Could you lend a hand? | 0.4 | neutral | respond
reply: warm | Yes.
why: no boundary
"""


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "w0.scenes"
    path.write_text(TEXT)
    return path


def test_the_text_form_is_read(written):
    first, second = scenes.load(written)
    assert (first["id"], first["pair"], first["tags"]) == ("w0-0001", "w0-a01", ["boundary", "money"])
    assert first["persona"]["boundaries"] == ["never lends money"]
    assert first["history"][1] == {"who": "agent", "text": "For you, yes."}
    assert first["phrases"][1]["event"] == "sigh"
    assert scenes.decisive(first)["label"] == "refuse"
    assert second["agent_says"] is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("| afraid |", "| scared |", "emotion 'scared'"),
        ("event=sigh", "event=yawn", "event 'yawn'"),
        ("| 1.2 |", "| long |", "pause"),
        ("persona: Maren\nmemory", "persona: Nobody\nmemory", "unknown persona"),
        ("why: no boundary", "", "why is missing"),
        ("| respond", "| refuse", "do not differ"),
        ("patience: low", "patience: none", "patience"),
    ],
)
def test_a_fault_names_the_file_and_what_is_wrong(written, old, new, said):
    written.write_text(TEXT.replace(old, new))
    with pytest.raises(SceneError) as caught:
        scenes.load(written)
    assert "w0.scenes" in caught.value.wrong
    assert said in caught.value.wrong


def test_bundled_scenes_are_whole():
    found = scenes.bundled("w8")
    assert len(found) == 400
    assert {s["id"][:2] for s in found} == {"w8"}


def test_json_lines_plain_and_compressed(tmp_path, written):
    lines = "".join(json.dumps(s) + "\n" for s in scenes.load(written)).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(lines))
    assert scenes.load(tmp_path / "a.jsonl") == scenes.load(tmp_path / "a.jsonl.xz") == scenes.load(written)


@pytest.mark.parametrize("content", [b"no json\n", b"[]\n", b'{"id": 1}\n', b"\xff\xfe"])
def test_damaged_json_lines_are_refused(tmp_path, content):
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(SceneError, match=r"bad.jsonl"):
        scenes.load(tmp_path / "bad.jsonl")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SceneError, match="cannot be read"):
        scenes.load(tmp_path / "none.jsonl")
