import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_t

import envs
from demos.trajectory import Demonstrations, Trajectory
from gail_suite.learning.networks import Actor
from gail_suite.learning.sac import SAC, SACConfig
from gail_suite.learning.shown.features import Features
from gail_suite.priors.action_mixture import ActionMixture
from gail_suite.priors.action_pixelcnn import ActionPixelCNN
from gail_suite.priors.behaviour import Behaviour, BehaviourConfig, density_of
from gail_suite.priors.prior import Prior, fit_prior, load_prior
from generative.mixtures.gmm import GaussianMixture

PLAIN = Features(np.arange(2), np.zeros(2, np.float32), np.ones(2, np.float32))


def joint(seed=0, n=300):
    """Two features and one action that depend on each other, in two clusters."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=g) + torch.tensor([2.0, 0.0]) * (torch.rand(n, 1, generator=g) < 0.4)
    a = 0.3 * x[:, :1] - 0.2 * x[:, 1:] + 0.1 * torch.randn(n, 1, generator=g)
    return torch.cat([x, a], 1)


def mixture(k=3):
    return GaussianMixture(k, reg_covar=1e-3).fit(joint(), seed=0, progress=False)


def tiny_net(levels=3, n_actions=3):
    torch.manual_seed(0)
    net = ActionPixelCNN(2, n_actions, levels, width=8, depth=2, hidden=16)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)  # far from uniform
    return net


def test_conditional_mixture_against_numerical_integration():
    # p(a|x) = p(x, a) / integral of p(x, a) da, the integral by sums on a fine grid
    model, x, a = mixture(), torch.tensor([[0.5, -0.3]]), torch.tensor([[0.2]])
    grid = torch.linspace(-6, 6, 20_001, dtype=torch.float64)
    along = torch.cat([x.double().expand(len(grid), -1), grid[:, None]], 1)
    evidence = model.log_prob(along).exp().sum() * (grid[1] - grid[0])
    expected = model.log_prob(torch.cat([x, a], 1)) - evidence.log()
    assert ActionMixture(model, 2).log_prob(x, a).item() == pytest.approx(expected.item(), abs=1e-5)


def student(dof):
    """A mixture of two, and its joint density as a mixture of Student's t, from SciPy."""
    model = mixture(2)
    joint_t = [multivariate_t(m.numpy(), c.numpy(), dof) for m, c in zip(model.means_, model.covariances_, strict=True)]
    return model, lambda x: sum(w.item() * t.pdf(x.numpy()) for w, t in zip(model.weights_, joint_t, strict=True))


@pytest.mark.parametrize("state", [[0.5, -0.3], [4.0, 7.0]])  # among what it was fitted to, and far from it
def test_conditional_of_students_t_against_numerical_integration(state):
    model, density = student(5.0)
    x, a = torch.tensor([state], dtype=torch.float64), torch.tensor([[0.2]], dtype=torch.float64)
    angle = torch.linspace(-math.pi / 2, math.pi / 2, 200_001, dtype=torch.float64)[
        1:-1
    ]  # a = tan(angle) reaches both tails
    along = torch.cat([x.expand(len(angle), -1), angle.tan()[:, None]], 1)
    evidence = (torch.from_numpy(density(along)) / angle.cos() ** 2).sum() * (angle[1] - angle[0])
    expected = math.log(density(torch.cat([x, a], 1))) - evidence.log()
    assert ActionMixture(model, 2, 5.0).log_prob(x, a).item() == pytest.approx(expected.item(), abs=1e-4)


def test_many_degrees_of_freedom_are_gaussian_and_few_widen_far_away():
    model, a = mixture(2), torch.zeros(1, 1, dtype=torch.float64)
    near, far = (torch.tensor([[v, v]], dtype=torch.float64) for v in (0.1, 30.0))
    gaussian = ActionMixture(model, 2)
    assert ActionMixture(model, 2, 1e9).log_prob(near, a).item() == pytest.approx(
        gaussian.log_prob(near, a).item(), abs=1e-5
    )
    spread = [
        ActionMixture(model, 2, dof).sample(far.expand(4000, -1), torch.Generator().manual_seed(0)).std().item()
        for dof in (math.inf, 2.0)
    ]
    assert spread[1] > 2 * spread[0]


def test_draws_of_students_t_have_its_density():
    p0, x = ActionMixture(mixture(1), 2, 3.0), torch.tensor([[3.0, -2.0]], dtype=torch.float64)
    draws = p0.sample(x.expand(20_000, -1), torch.Generator().manual_seed(0)).flatten()
    grid = torch.linspace(
        -0.995, 0.995, 200, dtype=torch.float64
    )  # middles of cells of [-1, 1], at whose ends draws are cut
    density = p0.log_prob(x.expand(200, -1), grid[:, None]).exp()
    for low, high in ((-1.0, 0.0), (0.0, 0.8), (0.8, 1.0)):
        inside = (grid > low) & (grid < high)
        assert ((draws > low) & (draws < high)).double().mean() == pytest.approx(
            0.01 * density[inside].sum().item(), abs=0.015
        )


def test_the_mixture_draws_what_it_says():
    p0, x = ActionMixture(mixture(1), 2), torch.tensor([[0.5, -0.3]])
    draws = p0.sample(x.expand(20_000, -1), torch.Generator().manual_seed(0))
    entropy = -p0.log_prob(x.expand(20_000, -1), draws).mean().item()
    # the entropy of a normal of the same standard deviation
    assert entropy == pytest.approx(0.5 * math.log(2 * math.pi * math.e * draws.var().item()), abs=0.03)


def test_probabilities_of_all_discretised_actions_sum_to_one():
    net, levels = tiny_net(), torch.linspace(-1, 1, 3)
    everything = torch.tensor(list(itertools.product(levels.tolist(), repeat=3)))
    width = torch.tensor(list(itertools.product([0.5, 1.0, 0.5], repeat=3))).prod(1)  # outermost levels: half a cell
    density = net.log_prob(torch.randn(1, 2).expand(len(everything), -1), everything).exp()
    assert (density * width).sum().item() == pytest.approx(1.0, abs=1e-5)
    assert density.max() > 5 * density.min()


def test_the_density_between_the_levels_integrates_to_one():
    net, side = tiny_net(n_actions=2), 200
    centres = -1 + (torch.arange(side) + 0.5) * 2 / side
    grid = torch.cartesian_prod(centres, centres)
    total = net.log_prob(torch.randn(1, 2).expand(len(grid), -1), grid).exp().sum() * (2 / side) ** 2
    assert total.item() == pytest.approx(1.0, abs=1e-3)


def test_a_dimension_sees_those_before_it_and_the_state_feeds_all():
    net, x = tiny_net(n_actions=4), torch.randn(1, 2)
    jacobian = torch.autograd.functional.jacobian(lambda a: net.log_levels(x, a)[0].square().sum(-1), torch.rand(1, 4))[
        :, 0
    ]
    seen = jacobian.abs() > 1e-7
    assert torch.equal(seen, torch.ones(4, 4).tril(-1).bool())
    by_state = torch.autograd.functional.jacobian(lambda s: net.log_levels(s, torch.zeros(1, 4))[0].square().sum(-1), x)
    assert (by_state.abs().sum(-1) > 1e-7).all()


def test_every_layer_and_the_condition_learn():
    net = tiny_net()
    net.log_prob(torch.randn(16, 2), torch.rand(16, 3) * 2 - 1).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_samples_of_the_autoregressive_model_follow_its_probabilities():
    net, x = tiny_net(n_actions=2), torch.tensor([[0.4, -0.2]])
    draws = net.sample(x.expand(20_000, -1), torch.Generator().manual_seed(0))
    corner = ((draws + 1).abs() < 1e-6).all(1).double().mean().item()
    expected = net.log_prob(x, torch.full((1, 2), -1.0)).exp().item() * 0.25
    assert corner == pytest.approx(expected, abs=4 * math.sqrt(expected / 20_000))


class Normal:
    """p0(a|s) = N(mean, sd^2), whatever the state."""

    def __init__(self, mean, sd):
        self.density = torch.distributions.Normal(mean, sd)

    def log_prob(self, features, actions):
        return self.density.log_prob(actions).sum(-1)


def behaviour(config, p0=None):
    prior = Prior("behaviour", "gmm", "X", PLAIN, mixture())
    term = Behaviour(prior, config, PLAIN)
    if p0 is not None:
        term.density = p0
    return term


def test_kl_of_two_normals_by_hand():
    # KL(N(0.5, 0.1^2) || N(0.3, 0.2^2)) = log 2 + (0.01 + 0.04) / 0.08 - 1/2 = 0.8181
    n, policy = 50_000, torch.distributions.Normal(0.5, 0.1)
    actions = 0.5 + 0.1 * torch.randn(n, 1, generator=torch.Generator().manual_seed(0))
    sample = torch.zeros(n, 2), actions, policy.log_prob(actions).sum(-1)
    term, info = behaviour(BehaviourConfig("p", 2.0, 0.0), Normal(0.3, 0.2)).penalty(0.75, sample)
    assert info["prior_kl"].item() == pytest.approx(math.log(2) + 0.05 / 0.08 - 0.5, abs=0.01)
    # three quarters of the way from 2 to 0
    assert info["prior_weight"].item() == pytest.approx(0.5)
    torch.testing.assert_close(term, 0.5 * info["prior_kl"])


def test_other_units_of_the_run_change_nothing():
    run = Features(np.array([1, 0]), np.array([1.0, 2.0], np.float32), np.array([2.0, 4.0], np.float32))
    prior = Prior("behaviour", "gmm", "X", PLAIN, mixture())
    obs, actions = np.random.default_rng(0).standard_normal((9, 2)), torch.zeros(9, 1)
    terms = [
        Behaviour(prior, BehaviourConfig("p", 1.0), f).penalty(
            0.0, (torch.from_numpy(f(obs)), actions, torch.zeros(9))
        )[0]
        for f in (run, PLAIN)
    ]
    torch.testing.assert_close(*terms, rtol=1e-4, atol=1e-4)
    narrow = Features(np.array([1]), np.zeros(1, np.float32), np.ones(1, np.float32))
    with pytest.raises(ValueError, match=r"columns \[0\] did not vary"):
        Behaviour(prior, BehaviourConfig("p", 1.0), narrow)


def test_the_term_pulls_the_policy_to_the_prior_and_the_multiplier_holds_the_distance():
    # the critic knows nothing, so the policy goes where the term sends it; N(0.4, 0.3^2) is within reach of a squashed
    # normal
    torch.manual_seed(0)
    actor, generator, x = Actor(2, 1, (16,)), torch.Generator().manual_seed(0), torch.randn(64, 2)
    optimiser = torch.optim.Adam(actor.parameters(), 1e-2)
    term, far = behaviour(BehaviourConfig("p", 1.0, target_kl=0.2, dual_rate=0.05), Normal(0.4, 0.3)), []
    for _ in range(250):
        actions, log_prob = actor.sample(x, torch.randn(64, 1, generator=generator))
        loss, info = term.penalty(0.0, (x, actions, log_prob))
        # a reward that pulls the action down against the prior
        optimiser.zero_grad()
        (loss + 2 * actions.mean()).backward()
        optimiser.step()
        far.append(info["prior_kl"].item())
    assert np.mean(far[-100:]) == pytest.approx(0.2, rel=0.1)


def reactive_demos():
    """Two trajectories of random observations, answered by an action that depends on them."""
    obs = np.random.default_rng(0).standard_normal((2, 151, 3)).astype(np.float32)
    shown = [
        Trajectory(o, np.clip(0.6 * o[:-1, 1:], -1, 1), np.zeros(150, np.float32), False, True, i)
        for i, o in enumerate(obs)
    ]
    return Demonstrations(tuple(shown), {"env_id": envs.TOY_ID})


@pytest.mark.parametrize(("model", "controls"), [("gmm", ("untrained", "shuffled")), ("pixelcnn", ("shuffled",))])
def test_a_fitted_prior_beats_its_controls_and_survives_the_disk(tmp_path, model, controls):
    shown, settings = reactive_demos(), {"steps": 150, "width": 16, "hidden": 32} if model == "pixelcnn" else {}
    prior = fit_prior(shown, model, "behaviour", **settings)
    for control in controls:
        other = fit_prior(shown, model, "behaviour", control=control, **settings)
        assert prior.settings["held_out"] > other.settings["held_out"] + 0.5, control
    again = load_prior(prior.save(tmp_path / "p"))
    x, a = torch.randn(5, len(prior.features.columns)), torch.rand(5, 2)
    assert torch.equal(density_of(prior).log_prob(x, a), density_of(again).log_prob(x, a))


def test_the_term_reaches_the_actor_of_the_learner():
    torch.manual_seed(0)
    sac, term = SAC(2, 1, SACConfig(hidden=(16,), batch_size=8)), behaviour(BehaviourConfig("p", 1.0))
    features = torch.randn(8, 2)
    info = sac._actor_step(features, torch.Generator().manual_seed(0), lambda actor, sample: term.penalty(0.0, sample))
    assert torch.isfinite(info["prior_kl"]) and info["actor_penalty"].item() == pytest.approx(info["prior_kl"].item())
