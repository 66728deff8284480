"""What holds for every model: one small fit each, every law asked of all of them."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

import generative as g
from generative.interface import calibration

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
MODELS = {
    "gmm": lambda: g.GaussianMixture(2, reg_covar=1e-2),
    "mfa": lambda: g.GaussianMixture(2, covariance_type="mfa", n_factors=2, reg_covar=1e-2),
    "bayesian": lambda: g.BayesianGaussianMixture(3, covariance_type="diag", reg_covar=1e-2),
    "pixelcnn": lambda: g.PixelCNN(features=4, layers=1),
    "pixelrnn": lambda: g.PixelRNN(features=2),
    "vae": lambda: g.VAE(latent=2, hidden=8, k_eval=4),
    "vqvae": lambda: g.VQVAE(codes=4, code=2, hidden=4, features=4, layers=1),
    "autoencoder": lambda: g.AutoEncoder(latent=2, hidden=8),
    "gan": lambda: g.GAN(latent=2, hidden=8),
    "dcgan": lambda: g.DCGAN(latent=2, features=4),
}
CONDITIONAL = {"pixelcnn", "pixelrnn", "vae", "gan", "dcgan"}
EXACT, BOUND = {"gmm", "mfa", "pixelcnn", "pixelrnn"}, {"bayesian", "vae", "vqvae"}
RNG = np.random.default_rng(0)
Y = np.arange(80) % 2
X = (RNG.random((80, 1, 8, 8)) < 0.2 + 0.6 * Y[:, None, None, None]).astype(np.float32)
"""Binary images, dark or bright by their class."""
NEW = (RNG.random((12, 1, 8, 8)) < 0.5).astype(np.float32)
cases = pytest.mark.parametrize("name", MODELS)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(name, device="cpu", seed=0, y=None):
    return MODELS[name]().fit(X, y, steps=3, seed=seed, device=device, progress=False)


@pytest.fixture(scope="module", params=DEVICES)
def models(request):
    """Every model, fitted once to a device."""
    return {name: fitted(name, request.param) for name in MODELS}


def answers(model, x=NEW):
    """All that a model says of samples."""
    found = [model.error(x), model.typicality(x), model.sample(3, seed=5)]
    return found if model.density == "none" else [*found, model.log_prob(x)]


def same(a, b):
    return all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


@cases
def test_samples_have_the_shape_and_range_of_the_data_and_follow_their_seed(models, name):
    model = models[name]
    drawn = model.sample(5, seed=1)
    assert drawn.shape == (5, 1, 8, 8) and torch.isfinite(drawn).all() and drawn.device.type == model.device.type
    if model.in_range:
        assert drawn.min() >= 0 and drawn.max() <= 1
    assert torch.equal(drawn, model.sample(5, seed=1)) and not torch.equal(drawn, model.sample(5, seed=2))
    assert not torch.equal(model.sample(5), model.sample(5))
    with pytest.raises(ValueError, match="n=0 must be at least 1"):
        model.sample(0)


@cases
def test_the_same_seed_gives_the_same_fit_and_global_generators_stay_as_they_are(models, name):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    again = fitted(name, models[name].device)
    assert same(answers(again), answers(models[name])) and torch.equal(torch.get_rng_state(), before)
    if "mixture" not in type(again).__name__.lower():  # EM from k-means may end the same
        assert not same(answers(fitted(name, again.device, seed=1)), answers(again))


@cases
def test_density_says_what_log_prob_is(models, name):
    model = models[name]
    assert model.density == ("exact" if name in EXACT else "bound" if name in BOUND else "none")
    if model.density == "none":
        with pytest.raises(ValueError, match="has no density: use typicality"):
            model.log_prob(NEW)
    else:
        log_prob = model.log_prob(NEW)
        assert log_prob.shape == (12,) and torch.equal(model.error(NEW), -log_prob)


@cases
def test_an_answer_depends_on_its_sample_alone(models, name):
    model = models[name]
    whole = model.error(NEW)
    each = torch.cat([model.error(NEW[i : i + 1]) for i in (11, 3)])
    torch.testing.assert_close(each, whole[[11, 3]], rtol=1e-5, atol=1e-4)


@cases
def test_typicality_is_the_calibrated_error(models, name):
    model = models[name]
    error, typicality = model.error(NEW), model.typicality(NEW)
    assert ((typicality > 0) & (typicality <= 1)).all()
    torch.testing.assert_close(typicality, calibration.typicality(error, model.calibration))
    assert model.calibration.upper > model.calibration.median


@cases
def test_files_pickles_and_copies_answer_as_the_model_does(models, name, tmp_path):
    model = models[name]
    path = model.save(tmp_path / "deep" / "model.safetensors")
    for other in (g.load(path, model.device), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.config == model.config and other.spec == model.spec and other.calibration == model.calibration
        assert same(answers(other), answers(model))


@cases
def test_arrays_of_every_kind_are_the_same_data_and_stay_as_they_were(models, name):
    model, backwards, frozen = models[name], NEW[::-1], NEW.copy()
    frozen.setflags(write=False)
    expected = model.error(NEW)
    for x in (torch.as_tensor(NEW), NEW.astype(np.float64), NEW.tolist(), frozen, NEW.astype(bool)):
        torch.testing.assert_close(model.error(x), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(model.error(backwards).flip(0), expected, rtol=1e-5, atol=1e-4)
    assert np.array_equal(NEW, frozen)


@cases
def test_three_threads_read_one_model(models, name):
    model, wrong = models[name], []
    expected = answers(model)

    def read():
        for _ in range(2):
            if not same(answers(model), expected):
                wrong.append(name)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@cases
def test_fits_in_threads_draw_from_generators_of_their_own(name, monkeypatch):
    # products that one thread wants exact are exact in all
    monkeypatch.setenv("GENERATIVE_FAST_MATMUL", "0")

    def fit(seed: int) -> list[torch.Tensor]:
        model = MODELS[name]().fit(X, steps=12, seed=seed, device="cpu", progress=False)
        return answers(model)

    expected, found = [fit(seed) for seed in range(4)], {}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    threads = [threading.Thread(target=lambda seed=seed: found.update({seed: fit(seed)})) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [same(found[seed], alone) for seed, alone in enumerate(expected)] == [True] * 4
    assert torch.equal(torch.get_rng_state(), before)


@cases
def test_an_unfitted_model_says_so(name, tmp_path):
    model = MODELS[name]()
    calls = [model.typicality, model.error] + ([model.log_prob] if model.density != "none" else [])
    for call in (
        *(lambda call=call: call(NEW) for call in calls),
        lambda: model.sample(2),
        lambda: model.save(tmp_path / "m"),
    ):
        with pytest.raises(NotFittedError, match=f"this {type(model).__name__} is not fitted yet: call fit"):
            call()


@cases
def test_whatever_fit_refuses_leaves_what_was_fitted(models, name):
    model = copy.deepcopy(models[name])
    before = answers(model)
    for options, message in (
        ({"x": X + 1}, r"must lie in \[0, 1\]"),
        ({"x": np.where(X > 0.5, np.inf, X)}, "infinite"),
        ({"val": np.zeros((9, 1, 3, 3))}, r"fitted on samples of shape \(1, 8, 8\), got \(1, 3, 3\)"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"device": "abacus"}, "unknown device 'abacus'"),
        ({"resume": True}, "resume"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(**({"x": X, "steps": 1, "progress": False, "device": model.device} | options))
        assert same(answers(model), before)


@cases
def test_shapes_that_do_not_fit_are_named(models, name):
    with pytest.raises(ValueError, match=r"was fitted on samples of shape \(1, 8, 8\), got \(1, 4, 4\)"):
        models[name].error(np.zeros((2, 1, 4, 4)))


@cases
def test_labels_condition_or_are_refused(models, name):
    model = models[name]
    for call in (lambda: model.sample(2, y=1), lambda: model.error(NEW, Y[:12])):
        with pytest.raises(ValueError, match=r"has no classes|was fitted without labels"):
            call()
    model = fitted(name, model.device, y=Y)
    if name not in CONDITIONAL:
        assert model.spec["n_classes"] == 0 and same(answers(model), answers(models[name]))
        return
    assert model.spec["class_weights"] == pytest.approx([0.5, 0.5], abs=0.15)
    assert model.sample(4, y=1, seed=0).shape == (4, 1, 8, 8) and model.error(NEW, Y[:12]).shape == (12,)
    assert torch.equal(model.sample(2, y=[1, 1], seed=0), model.sample(2, y=1, seed=0))
    assert ((model.typicality(NEW) > 0) & (model.typicality(NEW, Y[:12]) <= 1)).all()
    with pytest.raises(ValueError, match="label 2 is outside the 2 classes seen at fit"):
        model.sample(1, y=2)


@cases
def test_settings_can_be_read_and_make_the_same_model(name):
    model = MODELS[name]()
    again = type(model)(**model.get_params())
    assert again.config == model.config and repr(again) == repr(model)


@cases
def test_the_scale_is_that_of_given_held_out_data(name):
    model = MODELS[name]().fit(X, steps=2, val=NEW, progress=False)
    assert model.calibration == pytest.approx(calibration.scale_of(model.error(NEW)), rel=1e-5)
