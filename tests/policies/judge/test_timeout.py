import pytest

from policies.judge import timeout
from tests.policies.situations import situation


@pytest.mark.parametrize(("pause", "respond"), [(0.0, 0.0), (0.84, 0.0), (1.0, 1.0), (2.0, 1.0)])
def test_it_responds_after_its_time_out(pause, respond):
    assert timeout.load().judge(situation("hello there", pause)).p["respond"] == respond


def test_it_says_nothing_before_anything_was_said():
    assert timeout.load().judge(situation("", 5.0)).p["silence"] == 1.0
