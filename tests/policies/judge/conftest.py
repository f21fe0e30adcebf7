import pytest
import torch

from policies.judge import minilm, training


@pytest.fixture(scope="session")
def reader():
    torch.set_num_threads(1)
    return minilm.load()


@pytest.fixture
def network():
    return training.fresh(seed=3)
