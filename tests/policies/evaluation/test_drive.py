from policies.evaluation import drive
from policies.judge import timeout
from policies.situation import Floor
from tests.policies.situations import stream


def test_decisions_other_than_silence_are_listed_with_their_times():
    found = drive.decisions(drive.drive(stream("so i was at the market", 1.6), timeout.load()))
    assert [d["action"] for d in found] == ["respond"]
    assert found[0]["t_s"] > 3.0


def test_after_yielding_the_user_holds_the_floor():
    spoken = stream("no wait that is wrong", 0.5, floor=Floor.BOTH, agent_says="so on monday")
    seen = list(drive.drive(spoken, timeout.load()))
    moves = [decision.move for _, _, decision in seen]
    after = seen[moves.index("yield_floor") + 1][0]
    assert (after.floor, after.agent_says) == (Floor.USER, "")
    assert after.history[-1].text == "so on monday"
    assert after.history[-1].cut


def test_driving_is_causal():
    spoken = stream("so i was at the market and then home", 1.6)
    whole = list(drive.drive(spoken, timeout.load()))
    assert list(drive.drive(spoken[:12], timeout.load())) == whole[:12]
