import pytest
import torch

from policies.judge import minilm


def test_ids_are_cut_at_the_asked_end(reader):
    head, tail = reader.ids("one two three four five", 5), reader.ids("one two three four five", 5, tail=True)
    assert len(head) == len(tail) == 5
    assert (head[0], head[-1]) == (tail[0], tail[-1])
    assert head[1:-1] != tail[1:-1]


def test_rows_do_not_influence_each_other(reader):
    one, two = reader.ids("good morning", 8), reader.ids("good evening", 8)
    assert torch.allclose(reader.read([one, two])[0], reader.read([one])[0], atol=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_states_are_those_of_transformers(reader):
    from transformers import AutoModel

    ids = reader.ids("could you lend me some money", 20)
    expected = AutoModel.from_pretrained(str(minilm.folder())).eval()(torch.tensor([ids])).last_hidden_state[0]
    assert torch.cosine_similarity(reader.read([ids])[0], expected, dim=1).min() > 0.995
