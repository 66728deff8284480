"""Models as parts of other programs: gradients, modules, contexts, further training, callbacks, callers' torch
settings.
"""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

import generative as g

X = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
SMALL = {"latent": 2, "hidden": 8}
MODELS = {
    "vae": lambda: g.VAE(**SMALL, k_eval=2),
    "autoencoder": lambda: g.AutoEncoder(**SMALL, mixture=2),
    "gan": lambda: g.GAN(**SMALL),
    "pixelcnn": lambda: g.PixelCNN(features=4, layers=1),
    "vqvae": lambda: g.VQVAE(hidden=8, features=4, layers=1),
}


def fit(name: str, *more, **options):
    return MODELS[name]().fit(X, *more, steps=2, progress=False, **options)


def test_log_prob_has_gradients_where_asked():
    v = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))
    mixture, x = g.GaussianMixture(1).fit(v), v[:4].clone().requires_grad_()
    assert not mixture.log_prob(x).requires_grad
    (slope,) = torch.autograd.grad(mixture.log_prob(x, with_grad=True).sum(), x)
    expected = -(x.detach().double() - mixture.means_) @ torch.linalg.inv(mixture.covariances_[0])
    torch.testing.assert_close(slope.double(), expected, rtol=1e-4, atol=1e-5)
    vae = g.VAE(**SMALL, k_eval=2).fit(v, steps=2, progress=False)
    (slope,) = torch.autograd.grad(vae.log_prob(x, with_grad=True).sum(), x)
    assert bool(torch.isfinite(slope).all()) and float(slope.abs().max()) > 0 and not vae.log_prob(x).requires_grad


@pytest.mark.parametrize("name", ["vae", "autoencoder", "gan"])
def test_decode_has_gradients_where_asked(name: str):
    model, z = fit(name), torch.randn(3, 2, requires_grad=True)
    assert not model.decode(z).requires_grad
    (slope,) = torch.autograd.grad(model.decode(z, with_grad=True).sum(), z)
    assert slope.abs().max() > 0


@pytest.mark.parametrize("name", ["vae", "autoencoder", "gan", "vqvae"])
def test_codes_that_do_not_fit_are_refused(name: str):
    model = fit(name)
    width, shown = model.code_width, type(model).__name__
    assert model.decode(np.zeros((3, width))).shape == (3, *X.shape[1:])
    for shape in ((3, width + 1), (0, width), (width,), (), (3, width, 1, 1)):
        with pytest.raises(ValueError, match=rf"codes of this {shown} must be .*\(N, {width}\).* got shape") as error:
            model.decode(np.zeros(shape))
        assert str(error.value).endswith(str(shape))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
            model.decode(np.array([[0.0] * (width - 1) + [bad]]))


@pytest.mark.parametrize("wrong", [-1, 64, 0.5])
def test_indices_of_no_code_are_refused(wrong: float):
    model = fit("vqvae")
    codes = model.codes(X[:2]).float()
    codes[1, 0, 0] = wrong
    with pytest.raises(ValueError, match=r"codes of this VQVAE are whole numbers from 0 to 63, got numbers in \["):
        model.decode(codes)


def test_scikit_learn_compares_networks_by_their_likelihood():
    kinds = {"vae": g.VAE(hidden=8, k_eval=2, steps=2), "pixelcnn": g.PixelCNN(features=4, layers=1, steps=2)}
    for name, grid in (("vae", {"latent": [1, 2]}), ("pixelcnn", {"features": [4, 6]})):
        search = GridSearchCV(kinds[name], grid, cv=2).fit(X, progress=False)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        model = search.best_estimator_
        assert model.score(X) == pytest.approx(float(model.log_prob(X).mean()))
    labels = torch.arange(60) % 2
    model = MODELS["vae"]().fit(X, labels, steps=2, progress=False)
    assert torch.equal(model.score_samples(X, labels), model.log_prob(X, labels))
    assert not hasattr(g.GAN(), "score")  # GridSearchCV then asks for a scoring


@pytest.mark.parametrize("name", ["vae", "autoencoder", "pixelcnn"])
def test_an_optimiser_trains_a_module_in_place(name: str):
    model = fit(name)
    module = torch.nn.Sequential(g.AsModule(model))
    before, optimiser = model.error(X).mean(), torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(10):
        optimiser.zero_grad()
        (-module(X).mean()).backward()
        optimiser.step()
    assert float(model.error(X).mean()) < float(before)


def test_a_mixture_is_no_module():
    with pytest.raises(ValueError, match="GaussianMixture has no network"):
        g.AsModule(g.GaussianMixture(1).fit(torch.randn(30, 2)))


@pytest.mark.parametrize("name", ["vae", "gan", "pixelcnn"])
def test_context_vectors_condition(name: str, tmp_path):
    """Images whose brightness is the context: more of it, brighter samples."""
    c = torch.rand(300, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
    x = (torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(2)) < (c + 1)[:, :, None, None] / 2).float()
    model = MODELS[name]()
    model.config |= {"lr": 2e-2, "ema": 0.9}
    model.fit(x, torch.cat([c, -c], 1), steps=80, progress=False)
    dark, light = (model.sample(30, seed=0, y=torch.tensor([v, -v])).mean() for v in (-0.9, 0.9))
    assert light - dark > 0.3
    again = g.load(model.save(tmp_path / "m.safetensors"))
    given = torch.cat([c, -c], 1)[:5]
    assert torch.equal(again.error(x[:5], given), model.error(x[:5], given))
    with pytest.raises(ValueError, match="fitted with context vectors of length 2: give y"):
        model.sample(2)
    with pytest.raises(ValueError, match=r"context vectors must have shape \(5, 2\), got \(5, 1\)"):
        model.error(x[:5], c[:5])


@pytest.mark.parametrize("name", MODELS)
def test_further_training_starts_from_the_weights(name: str):
    model = fit(name)
    before = model.error(X).clone()
    model.fit(X, steps=1, progress=False, fine_tune=True, seed=1)
    fresh = fit(name, seed=1)
    assert (model.error(X) - before).abs().mean() < (fresh.error(X) - before).abs().mean()
    with pytest.raises(ValueError, match="fine_tune needs data like those of the first fit: samples of shape"):
        model.fit(X[:, :, :, :4].repeat(1, 1, 2, 1), steps=1, progress=False, fine_tune=True)
    with pytest.raises(ValueError, match="not fitted yet"):
        MODELS[name]().fit(X, steps=1, progress=False, fine_tune=True)


def test_a_finished_fit_goes_on_for_more_steps(tmp_path):
    seen: list[int] = []
    fit("vae", checkpoint=tmp_path)
    MODELS["vae"]().fit(
        X, steps=5, progress=False, checkpoint=tmp_path, resume=True, on_step=lambda step, _: seen.append(step)
    )
    assert seen == [3, 4, 5]


def test_tensorboard_and_other_callbacks(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model, seen = MODELS["autoencoder"](), []
    both = g.callbacks.several(
        g.callbacks.tensorboard(tmp_path, model, every=2, pictures=4), lambda step, _: seen.append(step)
    )
    model.fit(X, steps=4, progress=False, on_step=both)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.step for e in events.Scalars("loss")] == [1, 2, 4] and len(events.Images("samples")) == 1
    assert seen == [1, 2, 3, 4]


def test_the_callers_torch_settings_do_not_matter():
    expected = fit("vae").sample(3, seed=0)
    with torch.no_grad():
        assert torch.equal(fit("vae").sample(3, seed=0), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(fit("vae").sample(3, seed=0), expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_model_that_is_not_fitted_does_not_move():
    with pytest.raises(ValueError, match=r"this VAE is not fitted yet: call fit\(x\) first"):
        g.VAE().to("cpu")


@pytest.mark.parametrize("data", [(torch.rand(30, 1, 8, 8), torch.rand(30, 2)), (torch.rand(30, 1, 8, 8),)])
def test_a_model_that_cannot_sample_by_itself_is_not_drawn(data, tmp_path):
    model = g.VAE(latent=2, hidden=8, k_eval=2) if len(data) == 2 else g.AutoEncoder(latent=2, hidden=8, mixture=0)
    model.fit(*data, steps=2, progress=False, on_step=g.callbacks.tensorboard(tmp_path, model, pictures=1))
    assert model.spec


def test_further_training_takes_the_same_columns():
    pd = pytest.importorskip("pandas")
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["a", "b"])
    model = g.VAE(**SMALL).fit(x, steps=2, progress=False)
    model.fit(x, steps=2, progress=False, fine_tune=True)
    model.fit(x.values, steps=2, progress=False, fine_tune=True)
    with pytest.raises(ValueError, match="columns were a, b, and are b, a now"):
        model.fit(x[["b", "a"]], steps=2, progress=False, fine_tune=True)


def test_a_module_of_a_network_that_is_gone_says_so():
    model = fit("vae")
    module = g.AsModule(model)
    module(X[:2])
    for again in ({"fine_tune": True}, {}):
        model.fit(X, steps=2, progress=False, **again)
        with pytest.raises(ValueError, match="was fitted again since AsModule took its network"):
            module(X[:2])
        module = g.AsModule(model)


@pytest.mark.parametrize("name", MODELS)
def test_a_callers_autocast_changes_nothing(name: str):
    plain = fit(name)
    with torch.autocast("cpu", torch.bfloat16):
        cast, error, drawn = fit(name), plain.error(X), plain.sample(3, seed=0)
    assert torch.equal(cast.sample(3, seed=0), drawn) and torch.equal(plain.sample(3, seed=0), drawn)
    assert torch.equal(plain.error(X), error) and torch.is_autocast_enabled("cpu") is False


@pytest.mark.parametrize("name", MODELS)
def test_data_that_an_encoder_made_are_data(name: str):
    x = X.clone().requires_grad_()
    model = MODELS[name]().fit(x, val=x, steps=3, progress=False)
    assert torch.equal(model.sample(3, seed=0), MODELS[name]().fit(X, val=X, steps=3, progress=False).sample(3, seed=0))


@pytest.mark.parametrize("name", ["vae-digits", "mixture-digits", "pixelcnn-digits"])
def test_what_is_loaded_in_inference_mode_has_gradients(name: str):
    with torch.inference_mode():
        model = g.pretrained(name)
    x = torch.rand(2, 1, 8, 8).mul(16).round().div(16).requires_grad_()
    model.log_prob(x, with_grad=True).sum().backward()
    if hasattr(model, "net"):
        assert any(p.grad is not None for p in model.net.parameters())
