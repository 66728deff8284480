import numpy as np
import pytest

import demos
import envs


def test_every_bundled_expert_fits_its_environment_and_has_a_record():
    records = demos.experts()
    assert {"Ant-v5", "Humanoid-v5"} <= set(records)
    for env_id, record in records.items():
        policy, spec = demos.expert(env_id), envs.spec(env_id)
        assert (policy.env_id, policy.obs_dim, policy.act_dim) == (env_id, spec.obs_dim, spec.act_dim)
        assert policy.meta == {"discrete": False} | record and {"training", "evaluation", "random"} <= set(record)
        assert record["evaluation"]["return_mean"] > 3000 > record["random"]["return_mean"]
        with_bounds = envs.make(env_id).action_space
        np.testing.assert_array_equal(policy.tensors["act_low"], with_bounds.low)
        np.testing.assert_array_equal(policy.tensors["act_high"], with_bounds.high)


@pytest.mark.parametrize(
    "env_id, hint",
    [
        ("Ant-v4", r"did you mean 'Ant-v5'\? Train one: gail-suite expert train --env Ant-v4"),
        ("zzz", r"bundled are Ant-v5, Humanoid-v5\. Train one"),
    ],
)
def test_unknown_expert_is_answered_with_the_nearest(env_id, hint):
    with pytest.raises(ValueError, match=f"no expert is bundled for '{env_id}': {hint}"):
        demos.expert(env_id)
