import dataclasses

import numpy as np
import torch

from gail_suite.learning.inverse import InverseConfig, InverseModel
from gail_suite.learning.replay import Replay

SMALL = InverseConfig(hidden=(64,), steps=400, more=20)


def steps_of(n, generator):
    """s' = s + 0.1 B a with B = [[1, 0], [1, 2]], so a is known exactly from (s, s')."""
    states, actions = torch.randn(n, 2, generator=generator), 2 * torch.rand(n, 2, generator=generator) - 1
    return states, actions, states + 0.1 * actions @ torch.tensor([[1.0, 0.0], [1.0, 2.0]]).T


def replay(generator):
    filled = Replay(2000, 10, 2, 2)
    for _ in range(200):
        s, a, y = steps_of(10, generator)
        filled.add(s, a, y, np.zeros(10), np.zeros(10), np.zeros(10))
    return filled


def test_actions_are_told_from_observations():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = InverseModel(2, 2, SMALL)
    model.fit(replay(generator), generator)
    s, a, y = steps_of(500, generator)
    assert (model.actions(s, y) - a).square().mean() < 0.02 * a.var()
    assert model.actions(s, y + 10).abs().max() <= 1


def test_a_model_from_a_checkpoint_learns_on_as_if_nothing_had_happened():
    generator = torch.Generator().manual_seed(0)
    data = replay(generator)
    model = InverseModel(2, 2, dataclasses.replace(SMALL, steps=30))
    model.fit(data, generator)
    other = InverseModel(2, 2, model.config)
    other.load_state(model.state())
    s, _, y = steps_of(50, generator)
    for m in (model, other):
        m.fit(data, torch.Generator().manual_seed(1))
    assert torch.equal(model.actions(s, y), other.actions(s, y))
