"""The contract: records are frozen, serialisable, and come back equal."""

import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from model.interface import Percept, PoiseError, Said


def percept(**changes: object) -> Percept:
    fields = {
        "chunk": 3, "stable": "hello", "tentative": "there", "confidence": 0.5, "emotion": None, "event": None,
        "facing": None, "speech": 0.9, "pause_s": 0.0, "spoken_s": 0.64, "level_db": -20.0, "states": None,
    }  # fmt: skip
    return Percept(**{**fields, **changes})


def test_a_percept_comes_back_from_json_to_the_bit() -> None:
    states = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4).astype(np.float16)
    back = Percept.model_validate_json(percept(states=states).model_dump_json())
    assert back.states.dtype == np.float16
    assert np.array_equal(back.states, states)


def test_unknown_stays_unknown() -> None:
    assert Percept.model_validate_json(percept().model_dump_json()).emotion is None


def test_records_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Said(who="user", text="hi").text = "ho"


def test_unknown_fields_are_errors() -> None:
    with pytest.raises(ValidationError):
        percept(volume=3)


def test_the_transcript_joins_both_parts() -> None:
    assert percept().transcript == "hello there"
    assert percept(stable="").transcript == "there"


def test_an_error_says_what_is_wrong_and_how_to_mend_it() -> None:
    error = PoiseError("The jar is empty.", "Fill it.")
    assert (str(error), error.wrong, error.mend) == ("The jar is empty. Fill it.", "The jar is empty.", "Fill it.")


def test_an_error_comes_out_of_another_process_as_it_is() -> None:
    found = pickle.loads(pickle.dumps(PoiseError("It broke.", "Mend it.")))
    assert (type(found), found.wrong, found.mend) == (PoiseError, "It broke.", "Mend it.")
