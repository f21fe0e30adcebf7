import torch


def shaped(rows, length, chance):
    return torch.randn(rows, length, 384, generator=chance), torch.ones(rows, length, dtype=torch.bool)


def test_padding_changes_nothing(network):
    network.eval()
    chance = torch.Generator().manual_seed(1)
    words, seen = shaped(1, 5, chance)
    context, known = shaped(1, 7, chance)
    only = torch.zeros(1, dtype=torch.int64)
    plain = network.comparer(words, seen, context, known, only)
    more = (
        torch.cat([torch.full((1, 3, 384), 9.0), words], 1),
        torch.cat([torch.zeros(1, 3, dtype=torch.bool), seen], 1),
    )
    far = (
        torch.cat([context, torch.full((1, 2, 384), 9.0)], 1),
        torch.cat([known, torch.zeros(1, 2, dtype=torch.bool)], 1),
    )
    assert torch.allclose(network.comparer(*more, *far, only), plain, atol=1e-5)


def test_unknown_states_play_no_part(network):
    network.eval()
    compared, numbers = torch.zeros(1, network.comparer.size), torch.zeros(1, network.shape.features)
    one, other = torch.ones(1, 768), torch.randn(1, 768, generator=torch.Generator().manual_seed(2))
    unknown, known = torch.zeros(1), torch.ones(1)
    assert torch.equal(network.head(compared, numbers, one, unknown), network.head(compared, numbers, other, unknown))
    assert not torch.equal(network.head(compared, numbers, one, known), network.head(compared, numbers, other, known))


def test_it_is_small(network):
    assert sum(p.numel() for p in network.parameters()) < 2_000_000
