"""Mixtures: agreement with scikit-learn, laws of EM, closed-form conditionals, and degenerate data."""

import numpy as np
import pytest
import sklearn.mixture as sk
import torch

import generative as g
from generative.core.backend import seed_generator
from generative.mixtures import gaussians as ga

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
KINDS = ("full", "tied", "diag", "spherical")


def blobs(n: int = 1200, d: int = 4, k: int = 3, seed: int = 0, spread: float = 4.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
        + spread * rng.normal(size=(k, d))[rng.integers(k, size=n)]
        + 50
    )


def start(x: np.ndarray, kind: str, k: int) -> dict:
    d = x.shape[1]
    precisions = {
        "full": np.tile(np.eye(d), (k, 1, 1)),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }
    return {"weights_init": np.ones(k) / k, "means_init": x[:k], "precisions_init": precisions[kind]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_iter, tol", [(7, 0.0), (400, 1e-9)])
def test_agrees_with_scikit_learn_from_the_same_start(kind, max_iter, tol):
    x = blobs()
    peer = sk.GaussianMixture(3, covariance_type=kind, max_iter=max_iter, tol=tol, **start(x, kind, 3)).fit(x)
    ours = g.GaussianMixture(3, covariance_type=kind, max_iter=max_iter, tol=tol, **start(x, kind, 3)).fit(x)
    fresh = blobs(300, seed=1)
    np.testing.assert_allclose(ours.log_prob(fresh).numpy(), peer.score_samples(fresh), rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(fresh).numpy(), peer.predict_proba(fresh), atol=1e-6)
    assert ours.n_iter_ == peer.n_iter_ and ours.converged_ == peer.converged_
    assert ours.bic(x) == pytest.approx(peer.bic(x), abs=1e-3) and ours.aic(x) == pytest.approx(peer.aic(x), abs=1e-3)


@pytest.mark.parametrize("process", ["dirichlet_process", "dirichlet_distribution"])
@pytest.mark.parametrize("kind", KINDS)
def test_bayesian_agrees_with_scikit_learn_from_the_same_start(kind, process):
    x = blobs(600)
    options = {"init_params": "random", "weight_concentration_prior_type": process, "max_iter": 60}
    peer = sk.BayesianGaussianMixture(n_components=5, covariance_type=kind, tol=1e-6, random_state=3, **options)
    peer.fit(x)
    ours = g.BayesianGaussianMixture(5, covariance_type=kind, tol=1e-6, **options | {"max_iter": 100}).fit(
        x, seed=3, steps=60
    )
    assert float(ours.log_prob(x).mean()) == pytest.approx(peer.score(x), abs=1e-6)
    assert ours.lower_bound_ == pytest.approx(float(np.squeeze(peer.lower_bound_)), abs=1e-4)
    np.testing.assert_allclose(ours.weights_.numpy(), peer.weights_, atol=1e-8)


def test_bayesian_prunes_superfluous_components():
    x = np.random.default_rng(0).normal(size=(600, 2)) + 20 * np.repeat([[0, 0], [1, 0], [0, 1]], 200, axis=0)
    model = g.BayesianGaussianMixture(10, max_iter=500, weight_concentration_prior=0.01).fit(x)
    assert int((model.weights_ > 0.01).sum()) == 3


@pytest.mark.parametrize("kind", ga.KINDS)
@pytest.mark.parametrize("how", ["kmeans", "k-means++", "random", "random_from_data"])
def test_em_never_decreases_the_likelihood(kind, how):
    model = g.GaussianMixture(
        3, covariance_type=kind, max_iter=60, tol=0.0, init_params=how, n_factors=2, reg_covar=1e-9
    ).fit(blobs(400), seed=1)
    gains = np.diff(model.lower_bounds_)
    assert gains.min() > -1e-9 and gains.max() > 0


def test_bayesian_bound_never_decreases():
    model = g.BayesianGaussianMixture(4, max_iter=60, tol=0.0, init_params="random").fit(blobs(400))
    assert np.diff(model.lower_bounds_).min() > -1e-6


@pytest.mark.parametrize("kind", ga.KINDS)
def test_density_integrates_to_one(kind):
    """Midpoint rule on a 240 x 240 grid over +-8 standard deviations."""
    x = np.random.default_rng(0).normal(size=(300, 2)) @ np.array([[1.0, 0.6], [0.0, 0.5]])
    model = g.GaussianMixture(2, covariance_type=kind, n_factors=1).fit(x)
    edge = torch.linspace(-8, 8, 241, dtype=torch.float64)
    centre = (edge[1:] + edge[:-1]) / 2
    grid = torch.cartesian_prod(centre, centre)
    assert float(model.log_prob(grid).exp().sum()) * (16 / 240) ** 2 == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", ga.KINDS)
def test_samples_have_the_model_s_moments(kind):
    model = g.GaussianMixture(2, covariance_type=kind, n_factors=2).fit(blobs(500, k=2))
    draws = model.sample(60_000, seed=0)
    weights, means = model.weights_, model.means_
    mean = weights @ means
    between = (means - mean).T @ (weights.unsqueeze(1) * (means - mean))
    covariance = (weights.view(-1, 1, 1) * ga.dense_covariances(kind, model.params)).sum(0) + between
    spread = covariance.diagonal().sqrt()
    assert float(((draws.mean(0) - mean) / spread).abs().max()) < 0.02
    assert float(((draws.T.cov() - covariance) / spread.outer(spread)).abs().max()) < 0.03
    assert torch.equal(model.sample(5, seed=1), model.sample(5, seed=1))
    assert not torch.equal(model.sample(5, seed=1), model.sample(5, seed=2))


def test_mfa_density_equals_its_dense_covariance():
    x = torch.as_tensor(blobs(400))
    model = g.GaussianMixture(2, covariance_type="mfa", n_factors=2).fit(x)
    dense = torch.distributions.MultivariateNormal(model.means_, model.covariances_)
    expected = torch.logsumexp(dense.log_prob(x.unsqueeze(1)) + model.weights_.log(), 1)
    torch.testing.assert_close(model.log_prob(x), expected, rtol=1e-9, atol=1e-7)


def test_mfa_recovers_a_factor_analyser():
    """x = W z + e with W = (2, 1, 0)^T and noise variance 0.25: cov = W W^T + 0.25 I."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 1)) @ np.array([[2.0, 1.0, 0.0]]) + 0.5 * rng.normal(size=(20_000, 3))
    model = g.GaussianMixture(1, covariance_type="mfa", max_iter=200, tol=1e-8, n_factors=1).fit(x)
    expected = torch.tensor([[4.25, 2.0, 0.0], [2.0, 1.25, 0.0], [0.0, 0.0, 0.25]], dtype=torch.float64)
    torch.testing.assert_close(model.covariances_[0], expected, rtol=0.05, atol=0.05)


def test_condition_is_joint_over_marginal():
    x = torch.as_tensor(blobs(500))
    model = g.GaussianMixture(3).fit(x)
    given, rest = [2, 0], [1, 3]
    marginal = torch.distributions.MultivariateNormal(model.means_[:, given], model.covariances_[:, given][:, :, given])
    log_a = torch.logsumexp(marginal.log_prob(x[:, given].unsqueeze(1)) + model.weights_.log(), 1)
    conditional = model.condition(given)(x[:, given])
    torch.testing.assert_close(conditional.log_prob(x[:, rest]), model.log_prob(x) - log_a, rtol=1e-7, atol=1e-7)


def test_condition_on_a_single_gaussian_by_hand():
    """cov [[2, 1], [1, 3]], mean (1, -1), a = x_0 = 2: mean -1 + 1/2 (2 - 1) = -0.5, variance 3 - 1/2 = 2.5."""
    model = g.GaussianMixture(
        1, means_init=[[1.0, -1.0]], weights_init=[1.0], precisions_init=np.linalg.inv([[[2.0, 1.0], [1.0, 3.0]]])
    )
    model.fit(blobs(50, d=2))
    model.params = {
        "weights": torch.ones(1).double(),
        "means": torch.tensor([[1.0, -1.0]]).double() - model.offset,
        "covariances": torch.tensor([[[2.0, 1.0], [1.0, 3.0]]]).double(),
    }
    found = model.condition([0])(torch.tensor([[2.0]]))
    assert float(found.mean) == pytest.approx(-0.5) and float(found.variance) == pytest.approx(2.5)
    filled = model.impute(torch.tensor([[2.0, np.nan]]), torch.tensor([[True, False]]))
    torch.testing.assert_close(filled, torch.tensor([[2.0, -0.5]]).double(), atol=1e-6, rtol=0)


def test_columns_of_every_scale_are_filled_in():
    """x1 follows x0 = 2 although x2 varies a million times more."""
    rng = np.random.default_rng(0)
    x0 = rng.normal(size=4000)
    x = np.column_stack([x0, x0 + 0.1 * rng.normal(size=4000), 1e6 * rng.normal(size=4000)])
    model, row = g.GaussianMixture(1).fit(x), torch.tensor([[2.0, 0.0, 0.0]]).double()
    filled = model.impute(row, torch.tensor([[True, False, True]]))
    assert float(filled[0, 1]) == pytest.approx(float(model.condition([0, 2])(row[:, [0, 2]]).mean), abs=1e-9)
    twice = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).double()  # the same entry observed twice: S_yy is singular
    assert float(model.posterior_mean(twice[:, :1].T.expand(1, 2), twice)[0, 1]) == pytest.approx(1.0, abs=0.02)


def test_posterior_mean_denoises_as_wiener():
    """One Gaussian of variance 4 and mean 0, noise sd 2: E[x | y] = y / 2."""
    model = g.GaussianMixture(1, covariance_type="spherical").fit(torch.randn(50, 2, generator=seed_generator(0)))
    model.params = {
        "weights": torch.ones(1).double(),
        "means": -model.offset.view(1, 2),
        "covariances": torch.tensor([4.0]).double(),
    }
    y = torch.tensor([[1.0, -3.0]]).double()
    torch.testing.assert_close(model.posterior_mean(y, torch.eye(2).double(), 2.0), y / 2, atol=1e-6, rtol=0)


def test_condition_names_wrong_columns():
    model = g.GaussianMixture(1).fit(blobs(50))
    for wrong in ([0, 1, 2, 3], [], [1, 1], [7]):
        with pytest.raises(ValueError, match="given must be 1 to 3 different columns"):
            model.condition(wrong)


def test_condition_takes_a_mask_and_values_of_its_columns():
    x = blobs(200)
    model = g.GaussianMixture(2).fit(x)
    by_index, by_mask = model.condition([1, 2]), model.condition(np.array([False, True, True, False]))
    assert torch.equal(by_mask(x[:5, 1:3]).mean, by_index(torch.as_tensor(x[:5, 1:3])).mean)
    for wrong, message in (
        ([True, False], "a mask of the given columns needs 4 values"),
        ([0.7, 1.2], "given must be 1 to 3 different columns"),
    ):
        with pytest.raises(ValueError, match=message):
            model.condition(np.array(wrong))
    for values, message in ((x[:5], "must have shape"), (x[0, :2], "must have shape"), (x[:5, :2] * np.nan, "NaN")):
        with pytest.raises(ValueError, match=message):
            by_index(values)


def awkward(name: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    return {
        "float32": (x + 1e4).astype(np.float32),
        "duplicate rows": np.repeat(x[:4], 15, axis=0),
        "all rows equal": np.ones((60, 3)),
        "constant column": np.column_stack([x, np.full(60, 7.0)]),
        "collinear": np.column_stack([x, x[:, 0] * 2]),
        "huge scale": 1e6 * np.repeat(x[:6], 10, axis=0),
        "one row a component": x[:5],
    }[name]


@pytest.mark.parametrize("kind", ga.KINDS)
@pytest.mark.parametrize(
    "name",
    [
        "float32",
        "duplicate rows",
        "all rows equal",
        "constant column",
        "collinear",
        "huge scale",
        "one row a component",
    ],
)
def test_degenerate_data_give_a_regular_model(kind, name):
    x = awkward(name)
    model = g.GaussianMixture(5, covariance_type=kind, n_factors=2).fit(x)
    assert bool(torch.isfinite(model.log_prob(x)).all()) and bool(torch.isfinite(model.sample(20, seed=0)).all())
    values = torch.linalg.eigvalsh(
        ga.dense_covariances(kind, model.params)
    )  # whose own rounding is that of the largest
    assert bool((values > (-ga.EPS * values[:, -1:] if kind == "mfa" else 0)).all())
    assert 0 < float(model.typicality(x).min()) <= 1


def test_more_components_than_rows_is_refused():
    with pytest.raises(ValueError, match="n_components=6 is larger than the 5 samples"):
        g.GaussianMixture(6).fit(np.eye(5))


@pytest.mark.parametrize("bad", [{"covariance_type": "round"}, {"init_params": "guess"}, {"n_components": 0}])
def test_wrong_parameters_are_refused(bad):
    with pytest.raises(ValueError):
        g.GaussianMixture(**bad)
    with pytest.raises(ValueError, match="for mfa use GaussianMixture"):
        g.BayesianGaussianMixture(2, covariance_type="mfa")


def test_unknown_parameters_are_refused():
    with pytest.raises(TypeError, match="no parameter 'covariance_typ': did you mean 'covariance_type'"):
        g.GaussianMixture(2, covariance_typ="diag")
    with pytest.raises(TypeError, match="BayesianGaussianMixture has no parameter 'covariance_prio': did you mean"):
        g.BayesianGaussianMixture(2, covariance_prio=1.0)
    with pytest.raises(TypeError, match="no parameter 'means_init'"):
        g.BayesianGaussianMixture(2, means_init=np.eye(2))
    with pytest.raises(ValueError, match="precisions_init has no meaning for mfa"):
        g.GaussianMixture(2, covariance_type="mfa", precisions_init=np.ones(2))


def test_both_evaluations_of_full_covariances_agree():
    """The statistic (x, x_i x_j) in one product, and the factorised form that is kept for tight components."""
    x = torch.as_tensor(blobs(300)) - 50
    model = g.GaussianMixture(3).fit(x + 50)
    params = model.params | {"means": model.means_ - 50}
    fast = ga.evaluator("full", params, x.abs().amax(0))
    safe = ga.evaluator("full", params)
    assert fast.theta is not None and safe.theta is None
    torch.testing.assert_close(
        fast.logits(x, ga.statistic("full", x, True))[0], safe.logits(x, None)[0], rtol=1e-10, atol=1e-9
    )
    tight = params | {"covariances": params["covariances"] * 1e-9}
    assert ga.evaluator("full", tight, x.abs().amax(0)).theta is None


def test_images_keep_their_shape():
    x = torch.rand(50, 1, 3, 2, generator=seed_generator(0))
    model = g.GaussianMixture(2, covariance_type="mfa", n_factors=2).fit(x)
    assert model.sample(4, seed=0).shape == (4, 1, 3, 2) and model.log_prob(x).shape == (50,)


def test_what_scikit_learn_s_users_expect(tmp_path):
    for name in ("means_", "weights_", "covariances_", "n_iter_", "lower_bound_"):
        assert not hasattr(g.GaussianMixture(), name)
    model = g.GaussianMixture(2).fit(blobs(200))
    copy = g.load(model.save(tmp_path / "m.safetensors"))
    assert (copy.n_iter_, copy.converged_, copy.lower_bound_) == (model.n_iter_, model.converged_, model.lower_bound_)
    assert model.n_iter_ > 1 and model.converged_
    with pytest.raises(TypeError, match=r"takes no random_state: the seed has one home, fit\(x, seed=0\)"):
        g.GaussianMixture(random_state=0)


def test_wrong_inputs_are_answered():
    x = blobs(60)
    with pytest.raises(ValueError, match="not fitted yet"):
        g.inpaint(g.GaussianMixture(1), x, np.ones(4))
    with pytest.raises(ValueError, match="not fitted yet"):
        g.denoise(g.GaussianMixture(1), x, 0.1)
    model = g.GaussianMixture(1).fit(x)
    for call, message in [
        (lambda: model.impute(x[:, :3], np.ones(3)), r"fitted on samples of shape \(4,\), got \(3,\)"),
        (lambda: g.denoise(model, x[:, :3], 0.1), r"fitted on samples of shape \(4,\), got \(3,\)"),
        (lambda: model.impute(x, np.ones(3)), r"mask has shape \(3,\), which does not fit data of shape \(60, 4\)"),
        (lambda: model.impute(np.array([[np.nan, 1, 1, 1]]), np.ones(4)), "data holds 1 values that are NaN"),
        (lambda: g.GaussianMixture(2, means_init=x[:3]).fit(x), r"means_init must have shape \(2, 4\) .* got \(3, 4\)"),
        (
            lambda: g.GaussianMixture(2, covariance_type="diag", precisions_init=np.ones(2)).fit(x),
            r"precisions_init must have shape \(2, 4\)",
        ),
        (
            lambda: g.GaussianMixture(2, weights_init=[0.5, 0.6]).fit(x),
            "weights_init must be >= 0 and sum to 1, got a sum of 1.1",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_columns_kept_from_inference_mode_serve_a_gradient():
    ga.pairs.cache_clear()
    with torch.inference_mode():
        ga.pairs(3)
    means = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    covariances = torch.eye(3, dtype=torch.float64).repeat(2, 1, 1).requires_grad_()
    ev = ga.evaluator("full", {"means": means, "covariances": covariances}, torch.ones(3, dtype=torch.float64))
    x = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    ev.logits(x, ga.statistic("full", x, True))[0].sum().backward()
    np.testing.assert_allclose(means.grad, x.expand(2, 3))  # of -|x - m|^2 / 2
