import numpy as np
import pytest

from model.evaluation.deliveries import measures, recognised

NAMES = [name for _ in range(12) for name in ("calm", "firm", "warm", "gentle")]
LINES = [line for line in range(12) for _ in range(4)]


def test_deliveries_that_differ_are_told():
    chance = np.random.default_rng(0)
    centre = {"calm": (0, 0, 0, 0), "firm": (1, 0, 0, 3), "warm": (0, 2, 0, 0), "gentle": (0, 0, 1, -3)}
    rows = np.array([centre[name] for name in NAMES]) + 0.1 * chance.standard_normal((48, 4))
    found = recognised(rows, NAMES, LINES)
    assert found["balanced"] == 1.0
    assert found["chance"] == 0.25
    assert found["sounds"] == 48


def test_deliveries_that_do_not_differ_are_told_by_chance():
    rows = np.random.default_rng(0).standard_normal((48, 4))
    assert recognised(rows, NAMES, LINES)["balanced"] < 0.5


def test_a_line_is_not_told_by_itself():
    """Measures that only name the line must not help."""
    rows = np.array([[line, line * 2.0, 0, 0] for line in LINES])
    assert recognised(rows, NAMES, LINES)["balanced"] == pytest.approx(0.25)


def test_pitch_rate_and_level_are_measured():
    low = 0.1 * np.sign(np.sin(np.arange(16_000) * 2 * np.pi * 110 / 16_000)).astype(np.float32)
    mean, spread, rate, level = measures(low, 15)
    assert np.exp(mean) == pytest.approx(110, rel=0.02)
    assert spread < 0.05
    assert np.exp(rate) == pytest.approx(15, rel=0.1)
    assert level == pytest.approx(-20, abs=0.5)
    assert np.isfinite(measures(np.zeros(1_600, np.float32), 3)).all()
