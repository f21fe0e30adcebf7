"""The drawings are those of the compiled graphs, and the README's are these."""

from pathlib import Path

import pytest

from agent import drawings

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("chunk", ["hear", "judge", "decide", "listen", "take_floor", "yield_floor"]),
        ("turn", ["recall", "plan", "speak", "remember"]),
    ],
)
def test_every_node_is_drawn(name: str, nodes: list[str]):
    drawing = drawings.mermaid(name)
    assert all(f"{node}({node})" in drawing for node in nodes)


def test_marks_are_filled_and_the_rest_left_alone():
    text = "a\n<!-- graph:turn -->\nold\n<!-- /graph:turn -->\nb"
    made = drawings.refreshed(text)
    assert made == f"a\n{drawings.marked('turn')}\nb"
    assert drawings.refreshed(made) == made
    assert drawings.refreshed("nothing to draw") == "nothing to draw"


@pytest.mark.skipif(not README.is_file(), reason="no README yet")
def test_the_readme_is_current():
    text = README.read_text(encoding="utf-8")
    assert drawings.refreshed(text) == text
