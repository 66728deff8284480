"""VAE: bounds against an exact likelihood, likelihoods that normalise, gradients, objectives, and users' mistakes."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

import generative as g
from generative.core.backend import seed_generator, seeded
from generative.latent.codes import LatentMixture
from generative.networks.coders import Likelihood

CPU = torch.device("cpu")


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=seed_generator(seed))


def binary(n: int = 64, seed: int = 0) -> torch.Tensor:
    return (rand(n, 1, 4, 4, seed=seed) < torch.linspace(0.1, 0.9, 16).view(1, 4, 4)).float()


def small(**config) -> g.VAE:
    return g.VAE(**{"latent": 2, "hidden": 16, "layers": 1, "lr": 0.02, **config})


def fit(model: g.VAE, x: torch.Tensor, y: torch.Tensor | None = None, steps: int = 30) -> g.VAE:
    return model.fit(x, y, steps=steps, progress=False)


def linear_gaussian() -> tuple[g.VAE, torch.distributions.MultivariateNormal, torch.Tensor]:
    """A VAE with linear coders has the exact density N(b, W W^T + diag(sd^2)), in standardised units times the
    scale.
    """
    x = torch.randn(400, 3, generator=seed_generator(0)) @ torch.tensor(
        [[1.0, 0.5, 0.0], [0.0, 1.0, -0.7], [0.0, 0.0, 0.4]]
    )
    model = fit(g.VAE(latent=2, layers=0, likelihood="gaussian", lr=0.02), x, steps=250)
    dense, likelihood = model.net.decoder.dense[0], model.net.likelihood
    root = torch.diag(likelihood.scale)
    w, sd = root @ dense.weight, likelihood._sd() * likelihood.scale
    covariance = w @ w.T + torch.diag(sd**2)
    exact = torch.distributions.MultivariateNormal(
        (dense.bias * likelihood.scale + likelihood.centre).double().detach(), covariance.double().detach()
    )
    return model, exact, x[:100]


def test_elbo_below_importance_bound_below_exact_likelihood():
    """With a posterior moved off the true one, the bounds are loose and rise with k."""
    model, exact, x = linear_gaussian()
    truth = float(exact.log_prob(x.double()).mean())
    with torch.no_grad():
        model.net.encoder.dense[0].bias += 0.6
    bounds = [float(torch.stack([model.log_prob(x, k=k, seed=s) for s in range(5)]).mean()) for k in (1, 4, 16, 512)]
    assert bounds[0] + 0.3 < bounds[1] and bounds[1] + 0.05 < bounds[2] < bounds[3] <= truth + 1e-3
    assert truth - bounds[-1] < 0.05


def test_importance_bound_converges_to_the_exact_likelihood_for_every_sample():
    model, exact, x = linear_gaussian()
    torch.testing.assert_close(model.log_prob(x, k=4096).double(), exact.log_prob(x.double()), atol=0.1, rtol=0)


def test_bernoulli_decoder_normalises():
    """p(x) estimated with the prior as proposal sums to one over all 2^4 images of 2x2."""
    model = fit(small(), (rand(60, 1, 2, 2) < 0.4).float())
    images = torch.tensor([[b >> i & 1 for i in range(4)] for b in range(16)]).float().view(16, 1, 2, 2)
    with torch.no_grad():
        out = model.net.decode(torch.randn(4000, 2, generator=seed_generator(0)), None)
        total = torch.stack(
            [model.net.likelihood.log_prob(i[None], out.unsqueeze(1)).exp().mean() for i in images]
        ).sum()
    assert float(total) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("kind, levels", [("bernoulli", 2), ("categorical", 5), ("gaussian", 0)])
def test_likelihood_draws_have_its_mean(kind, levels):
    likelihood = Likelihood(kind, {"event_shape": [1, 2, 2], "levels": levels}, 0.1)
    out = torch.randn(1, 1, 2, 2, likelihood.per_value, generator=seed_generator(1)).detach()
    with torch.no_grad():
        draws = likelihood.draw(
            out.expand(20_000, -1, -1, -1, -1), likelihood.noise((20_000, 1, 2, 2), seed_generator(2))
        )
        torch.testing.assert_close(draws.mean(0), likelihood.mean(out)[0], atol=0.02, rtol=0)


def test_categorical_levels_normalise():
    likelihood = Likelihood("categorical", {"event_shape": [1, 1, 1], "levels": 5}, 0.1)
    out = torch.randn(1, 1, 1, 1, 1, 5, generator=seed_generator(1))
    values = (torch.arange(5) / 4).view(5, 1, 1, 1)
    assert float(likelihood.log_prob(values, out.expand(1, 5, 1, 1, 1, 5)).exp().sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("arch, size", [("mlp", 4), ("conv", 9)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "categorical"])
@pytest.mark.parametrize("labelled", [False, True])
def test_every_parameter_gets_a_gradient(arch, size, likelihood, labelled):
    x = (rand(6, 1, size, size) < 0.5).float()
    y = torch.arange(6) % 2 if labelled else None
    model = small(arch=arch, likelihood=likelihood)
    with seeded(0, CPU):
        model.spec = model._infer(x, y)
        model._build()
        model._loss(x, y).sum().backward()
    missing = [name for name, p in model.net.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert missing == []


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"objective": "iwae", "k_train": 4},
        {"beta": 0.5},
        {"free_bits": 0.5},
        {"prior_components": 3},
        {"binarize": True},
    ],
)
def test_options_fit_save_and_load(tmp_path, config):
    x = rand(80, 1, 4, 4) if config.get("binarize") else binary(80)
    model = fit(small(**config), x)
    copy = g.load(model.save(tmp_path / "vae.safetensors"))
    assert torch.equal(copy.log_prob(x), model.log_prob(x)) and torch.equal(
        copy.sample(9, seed=1), model.sample(9, seed=1)
    )
    assert set(model.sample(9, seed=1).unique().tolist()) <= {0.0, 1.0}
    again = fit(small(**config), x)
    assert torch.equal(again.log_prob(x), model.log_prob(x))


def test_training_raises_the_bound_and_free_bits_keep_the_code_alive():
    x = binary(400)
    first, last = fit(small(), x, steps=2), fit(small(), x, steps=100)
    assert float(last.log_prob(x).mean()) > float(first.log_prob(x).mean()) + 0.3
    alive = fit(small(free_bits=1.0), x, steps=100)
    with torch.no_grad():
        mean, log_var = alive.net.posterior(x, None)
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).mean(0)
    assert float(kl.min()) > 0.5


def test_log_prob_and_sample_agree():
    """Samples are as likely as the data the model was fitted to, for a model that fits well."""
    x = binary(1000)
    model = fit(small(), x, steps=120)
    assert float(model.log_prob(model.sample(1000, seed=0)).mean()) == pytest.approx(
        float(model.log_prob(x).mean()), abs=0.3
    )


def test_class_conditional_sums_over_its_classes():
    x, y = torch.cat([torch.zeros(30, 1, 3, 3), torch.ones(30, 1, 3, 3)]), torch.arange(60) // 30
    model = fit(small(hidden=32), x, y, steps=250)
    assert float(model.sample(40, y=1, seed=0).mean()) > 0.9 and float(model.sample(40, y=0, seed=0).mean()) < 0.1
    given = float(model.log_prob(torch.ones(1, 1, 3, 3), torch.tensor([1]), k=64))
    assert float(model.log_prob(torch.ones(1, 1, 3, 3), k=64)) == pytest.approx(given - math.log(2), abs=0.15)
    with pytest.raises(ValueError, match="label 7 is outside the 2 classes"):
        model.sample(1, y=7)


def test_components_that_a_small_fit_does_not_use_have_no_density():
    prior = LatentMixture(2, 100)
    prior.fit(torch.randn(60, 2, generator=torch.Generator().manual_seed(0)) + 30, seed=0)
    used = prior.weights > 0
    assert 0 < used.sum() < 100
    z = torch.tensor([[30.0, 30.0], [0.0, 0.0]])  # in the data, and where the unused ones are
    parts = MultivariateNormal(prior.means[used], scale_tril=prior.roots[used]).log_prob(z[:, None])
    torch.testing.assert_close(prior.log_prob(z), torch.logsumexp(prior.weights[used].log() + parts, 1))


def test_prior_mixture_improves_a_clustered_code():
    centres = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    x = centres[torch.arange(300) % 3] + 0.1 * torch.randn(300, 2, generator=seed_generator(0))
    plain, mixture = fit(small(), x, steps=120), fit(small(prior_components=5), x, steps=120)
    assert float(mixture.log_prob(x).mean()) > float(plain.log_prob(x).mean())


def test_the_mixture_is_of_codes_of_drawn_images_and_not_of_grey_ones():
    x = torch.full((200, 1, 4, 4), 0.5)
    x[:, :, :2] = (torch.arange(200) % 2).float()[:, None, None, None]  # something to encode
    model = fit(small(binarize=True, prior_components=1, beta=0.2), x, steps=200)
    with torch.no_grad(), seeded(1, x.device):
        drawn = torch.cat([model._codes(x, None) for _ in range(20)]).var(0)
        mean, log_var = model.net.posterior(x, None)
        grey = mean.var(0) + log_var.exp().mean(0)
    fitted = model.net.prior.distribution().variance
    assert (drawn / grey).max() > 1.3  # what would be missed
    assert ((fitted / drawn).log().abs() < 0.1).all()


def test_mistakes_are_answered():
    grey = rand(40, 1, 4, 4)
    with pytest.raises(
        ValueError, match=r"likelihood='bernoulli' takes values 0 and 1, but \d+ values in \[.*\] are not"
    ):
        fit(small(likelihood="bernoulli"), grey)
    model = fit(small(), binary(40), steps=2)
    with pytest.raises(ValueError, match="takes values 0 and 1"):
        model.log_prob(grey)
    with pytest.raises(ValueError, match="arch='conv' needs images of at least 8x8"):
        fit(small(arch="conv"), binary(40))
    with pytest.raises(ValueError, match="categorical' needs images"):
        fit(small(likelihood="categorical"), torch.randn(40, 3, generator=seed_generator(0)))
    with pytest.raises(ValueError, match="arch is one of"):
        g.VAE(arch="deep")
    with pytest.raises(ValueError, match="must be at least 1"):
        g.VAE(latent=0)


@pytest.mark.parametrize("config", [{}, {"binarize": True}])
def test_noise_depends_on_the_sample_and_not_on_its_place(config):
    x = rand(300, 1, 4, 4) if config else binary(300)
    model = fit(small(**config), x, steps=5)
    bounds = model.log_prob(x)
    torch.testing.assert_close(model.log_prob(x[150:151])[0], bounds[150], rtol=0, atol=1e-4)
    torch.testing.assert_close(model.error(x), -bounds, rtol=0, atol=1e-4)
    torch.testing.assert_close(model.log_prob(x.flip(0)).flip(0), bounds, rtol=0, atol=1e-4)
    assert not torch.equal(model.log_prob(x, seed=1), bounds)


def test_samples_and_bounds_do_not_depend_on_the_slices(monkeypatch):
    from generative.latent import vae

    x, y = binary(60), torch.arange(60) % 2
    model = fit(small(), x, y, steps=5)
    samples, codes, bounds = model.sample(50, seed=1), model.decode(torch.zeros(50, 2), y=1), model.log_prob(x, y)
    monkeypatch.setattr(vae.VAE, "batch", 7)
    monkeypatch.setattr(vae, "DECODED", 16 * 3)
    torch.testing.assert_close(model.log_prob(x, y), bounds, rtol=0, atol=1e-4)
    torch.testing.assert_close(model.decode(torch.zeros(50, 2), y=1), codes)
    assert torch.equal(model.sample(50, seed=1), samples)


def test_fine_tuning_maximises_the_bound_under_the_normal_prior_whatever_mixture_was_fitted():
    """The mixture is fitted after training: with one and without, the same weights come of it."""
    x, options = binary(), {"objective": "iwae", "k_train": 4, "patience": 0}
    plain, mixed = (fit(small(prior_components=k, **options), x) for k in (0, 2))
    assert not mixed.net.prior.is_normal()
    for model in (plain, mixed):
        model.fit(x, steps=10, progress=False, fine_tune=True)
    assert not mixed.net.prior.is_normal()
    for one, other in zip(plain.net.parameters(), mixed.net.parameters(), strict=True):
        assert torch.equal(one, other)
