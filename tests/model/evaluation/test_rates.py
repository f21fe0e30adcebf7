import random

import pytest

from model.evaluation.rates import Rate, difference


def filled(errors_of, clips=60):
    rate = Rate()
    for number in range(clips):
        reference = [f"w{n}" for n in range(5 + number % 4)]
        wrong = errors_of(number)
        rate.add(reference, ["x"] * wrong + reference[wrong:])
    return rate


def test_a_rate_is_over_items_not_over_clips():
    rate = Rate()
    assert rate.add(list("abcd"), list("axcd")) == 1
    rate.add(["e"], [])
    assert rate.value == pytest.approx(2 / 5)


def test_nothing_said_has_no_rate():
    rate = Rate()
    rate.add([], ["noise"])
    assert rate.figures() == {"rate": None, "interval": None, "items": 0}
    assert difference(rate, rate) is None


def test_an_interval_holds_the_rate_and_is_the_same_each_time():
    chance = random.Random(0)
    rate = filled(lambda _: chance.randint(0, 3))
    low, high = rate.interval()
    assert low < rate.value < high
    assert high - low < 0.2
    assert rate.interval() == (low, high)


def test_the_interval_covers_the_true_rate_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        chance = random.Random(seed)
        low, high = filled(lambda _, chance=chance: sum(chance.random() < 0.3 for _ in range(5)), 40).interval()
        true = 0.3 * 5 / 6.5  # five of the 5 to 8 words of a clip can be wrong
        covered += low <= true <= high
    assert covered >= 50


def test_a_difference_is_paired():
    one = filled(lambda number: number % 5)
    assert difference(one, one) == [0.0, 0.0]
    better = filled(lambda number: max(number % 5 - 1, 0))
    low, high = difference(better, one)
    assert low <= high < 0
    assert high - low < one.interval()[1] - one.interval()[0]
