import torch

from policies.evaluation import scenes
from policies.judge import recipe, training, tuned


def test_the_smallest_run_goes_from_scenes_to_weights(tmp_path, reader):
    found = scenes.bundled("w1")[:4]
    told: list[str] = []
    paths = recipe.prepare(found, reader, tmp_path, 0, told.append)
    network = recipe.train(paths, tmp_path, training.Recipe(minutes=1, most_steps=2, batch=16))
    held_back = recipe.simulated(found[:2], recipe.Mishearing(p["text"] for p in found[0]["phrases"]))
    assert 0.0 <= recipe.lean(network, reader, held_back, told.append) <= 1.0
    tuned.store(network, tmp_path / "judge.safetensors")
    assert tuned.load(tmp_path / "judge.safetensors").name == "tuned"
    assert told


def test_examples_made_before_are_not_made_again(tmp_path, reader):
    found = scenes.bundled("w1")[:2]
    (path,) = recipe.prepare(found, reader, tmp_path, 1, lambda _: None)
    before = path.stat().st_mtime_ns
    recipe.prepare(found, reader, tmp_path, 1, lambda _: None)
    assert path.stat().st_mtime_ns == before


def test_leaning_never_makes_it_worse(tmp_path, reader):
    found = scenes.bundled("w1")[:3]
    held_back = recipe.simulated(found, recipe.Mishearing(p["text"] for p in found[0]["phrases"]))
    network = training.fresh(seed=2).eval()
    told: list[str] = []
    best = recipe.lean(network, reader, held_back, told.append)
    assert best >= float(told[0].split()[1])
    assert torch.isfinite(network.head.lean).all()
