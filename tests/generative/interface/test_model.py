"""The interface: calibration, files, and the answers to users' mistakes."""

import pickle
import re

import numpy as np
import pytest
import torch

import generative as g
from generative.core.backend import fast_matmul, full_precision, learning, resolve_device, seed_generator, seeded
from generative.core.values import infer_values


def vectors(n: int = 200, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, generator=seed_generator(seed))


def fitted() -> g.GaussianMixture:
    return g.GaussianMixture(2).fit(vectors())


def test_every_public_name_is_importable():
    for name in g.__all__:
        assert getattr(g, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Flow'"):
        g.Flow  # noqa: B018


def test_calibration_matches_fresh_data():
    """About half of fresh data lie above the held-out median, about 5 % above the 95 % quantile."""
    model = g.GaussianMixture(2).fit(vectors(4000))
    e = model.error(vectors(4000, seed=5))
    s, q = model.calibration
    assert float((e > s).double().mean()) == pytest.approx(0.5, abs=0.06)
    assert float((e > q).double().mean()) == pytest.approx(0.05, abs=0.03)


def saved_beginning_with(byte, folder):
    """A file whose header is as long as it takes to begin with this byte, and what its spec holds besides."""
    model = fitted()
    model.spec["note"] = ""
    first = model.save(folder / "m.safetensors").read_bytes()[0]
    model.spec["note"] = "x" * ((byte - first) % 256)
    path = model.save(folder / "m.safetensors")
    assert path.read_bytes()[0] == byte
    return path, model.spec["note"]


@pytest.mark.parametrize("byte", [0x00, 0x50, 0x80])
def test_load_reads_every_header_length(tmp_path, byte):
    """A safetensors file may begin with any byte, also the ones that pickles and archives begin with."""
    path, note = saved_beginning_with(byte, tmp_path)
    assert g.load(path).spec["note"] == note


def test_a_header_that_does_not_fit_its_tensors_is_named(tmp_path):
    from generative.interface.files import read_tensors, write_tensors

    header, tensors = read_tensors(
        g.VAE(latent=1, hidden=4).fit(vectors(), steps=1, progress=False).save(tmp_path / "m.safetensors")
    )
    for name, value in (("spec", "{}"), ("config", '{"latent": 2, "hidden": 4}'), ("calibration", "null")):
        path = write_tensors(tmp_path / "bad.safetensors", tensors, header | {name: value})
        with pytest.raises(ValueError, match=r"is a damaged model|is damaged"):
            g.load(path)


def test_a_file_that_was_cut_is_damaged_and_no_pickle(tmp_path):
    path, _ = saved_beginning_with(0x80, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="so it was damaged"):
        g.load(path)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("patience", -1, "patience must be 0 or more"),
        ("clip", 0, "clip is the largest norm of a gradient"),
        ("ema", 2, r"ema is a decay in \[0, 1\)"),
        ("precision", "float64", "unknown precision 'float64'"),
        ("betas", 0.9, "betas are two decays"),
        ("optimiser", "sgd", "unknown optimiser 'sgd'"),
        ("steps", 0, "steps must be at least 1"),
        ("lr", float("nan"), "lr must be 0 or more"),
    ],
)
def test_training_that_cannot_work_is_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        g.VAE(**{option: value})


LABELS = np.arange(60) % 2
STRIPES = np.stack([np.eye(4)[[k] * 4] * 0.5 + 0.25 for k in LABELS])[:, None].astype(np.float32)


@pytest.mark.parametrize(
    "refused",
    [
        {"val": (STRIPES[:9], LABELS[:9])},
        {"y": LABELS, "val": STRIPES[:9]},
    ],
)
def test_whatever_fit_refuses_leaves_what_was_fitted(refused):
    model = g.VAE(latent=2, hidden=8).fit(STRIPES, steps=3, progress=False)
    before = model.sample(3, seed=0), model.typicality(STRIPES[:5])
    with pytest.raises(ValueError, match="labels"):
        model.fit(STRIPES, steps=5, progress=False, **refused)
    assert torch.equal(model.sample(3, seed=0), before[0]) and torch.equal(model.typicality(STRIPES[:5]), before[1])


def test_labels_of_held_out_data_are_refused_before_training_where_the_data_have_none():
    seen = []
    with pytest.raises(ValueError, match=r"val has labels, but the data have none: give fit\(x, y, val=\(x, y\)\)"):
        g.GAN(latent=2, hidden=8).fit(
            STRIPES, steps=3, progress=False, val=(STRIPES, LABELS), on_step=lambda step, _: seen.append(step)
        )
    assert not seen


@pytest.mark.parametrize("kind", [g.VAE, g.GAN, g.PixelCNN])
def test_scores_of_a_conditional_model_have_a_scale_with_labels_and_one_without(kind, tmp_path):
    rng = np.random.default_rng(0)
    x = (rng.random((300, 1, 4, 4)) < np.repeat(STRIPES[:2], 150, 0)).astype(
        np.float32
    )  # classes side by side, both drawn from anew
    y, order = np.repeat([0, 1], 150), rng.permutation(300)
    x, y = (
        np.concatenate([x[order[:200]], x[np.sort(order[200:])]]),
        np.concatenate([y[order[:200]], y[np.sort(order[200:])]]),
    )
    sizes = {"hidden": 16} if kind is not g.PixelCNN else {"features": 4, "layers": 1}
    model = kind(**sizes).fit(x[:200], y[:200], steps=30, progress=False, val=(x[200:], y[200:]))
    for labels in (y[200:], None):
        score = model.typicality(x[200:], labels)
        assert (score == 1).float().mean() >= 0.5 and 0.01 <= (score < np.exp(-1) + 1e-6).float().mean() <= 0.12
    again = g.load(model.save(tmp_path / "model.safetensors"))
    assert (
        torch.equal(again.typicality(x[200:]), model.typicality(x[200:]))
        and again.calibration_without_labels == model.calibration_without_labels
    )


def test_the_scale_without_labels_is_of_all_classes(monkeypatch):
    monkeypatch.setattr("generative.interface.fitting.UNLABELLED", 10)
    order = np.argsort(LABELS, kind="stable")
    val = STRIPES[order] + 0.1 * np.random.default_rng(0).random(STRIPES.shape).astype(np.float32)
    model = g.GAN(latent=2, hidden=8).fit(STRIPES, LABELS, steps=20, progress=False, val=(val, LABELS[order]))
    s, q = torch.quantile(model.error(val[::6]).double(), torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
    assert model.calibration_without_labels == pytest.approx((s, q))


def test_seeds_and_settings_may_be_numpys(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    a, b = (g.GaussianMixture(2).fit(x, seed=s) for s in (np.int64(3), 3))
    assert torch.equal(a.sample(4, seed=np.int64(1)), b.sample(4, seed=1))
    model = g.BayesianGaussianMixture(
        2, degrees_of_freedom_prior=np.int64(5), weight_concentration_prior=np.float32(0.5)
    ).fit(x)
    assert g.load(model.save(tmp_path / "m.safetensors")).config["degrees_of_freedom_prior"] == 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: g.PixelCNN(levels=16, binarize=True), "binarize makes 2 levels, got levels=16"),
        (lambda: g.GAN(r1=-1), "0 or more, got -1"),
        (lambda: g.DCGAN(r1=float("nan")), "0 or more, got nan"),
        (lambda: g.VAE(min_sd=-1), "min_sd must be above 0, got -1"),
    ],
)
def test_settings_that_would_do_nothing_or_harm_are_refused_before_training(make, message):
    with pytest.raises(ValueError, match=message):
        make().fit(np.random.default_rng(0).random((20, 1, 8, 8)), steps=1, progress=False)


def test_arguments_that_cannot_be_are_refused():
    x = STRIPES[:30]
    model = g.VAE(latent=2, hidden=8).fit(x, steps=2, progress=False)
    with pytest.raises(ValueError, match="k must be at least 1, got -1"):
        model.log_prob(x, k=-1)
    with pytest.raises(ValueError, match="a and b must have one shape"):
        g.tasks.interpolate(model, x[:2], x[:3])
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        g.VAE(binarize=True).fit(np.random.default_rng(0).normal(size=(30, 4)), steps=1, progress=False)
    with pytest.raises(ValueError, match="particles must be at least 1, got 0"):
        g.PixelCNN(features=2, layers=1).fit(x, steps=1, progress=False).inpaint(x, x > 0.5, particles=0)


def test_a_mixture_of_images_knows_its_own_samples():
    x = torch.rand(60, 1, 3, 3)
    for model in (g.GaussianMixture(2, covariance_type="diag").fit(x), g.BayesianGaussianMixture(2).fit(x)):
        drawn = model.sample(200, seed=0)
        assert drawn.min() < 0 or drawn.max() > 1
        assert torch.isfinite(model.log_prob(drawn)).all() and model.typicality(drawn).min() > 0


@pytest.mark.parametrize(
    "labels, message",
    [(np.arange(60) * 0.5, "numbers with fractions"), (np.array(["a"] * 60), "of <U1"), (np.full(60, -1), "from -1")],
)
def test_labels_that_are_no_numbers_of_classes_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        g.VAE(hidden=4).fit(torch.rand(60, 3), labels, steps=1, progress=False)


@pytest.mark.parametrize(
    "content, message",
    [
        (pickle.dumps({"a": 1}), "is a pickle or torch.save archive"),
        (b"PK\x03\x04rest", "is a pickle or torch.save archive"),
        (b"hello", "not a readable safetensors file"),
    ],
)
def test_load_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        g.load(path)
    with pytest.raises(ValueError, match="missing cannot be read"):
        g.load(tmp_path / "missing")


def test_mistakes_are_answered():
    with pytest.raises(ValueError, match="not fitted yet"):
        g.GaussianMixture(2).sample(3)
    with pytest.raises(ValueError, match="not fitted yet"):
        g.GaussianMixture(2).log_prob(vectors())
    with pytest.raises(ValueError, match=r"fitted on samples of shape \(3,\), got \(4,\)"):
        fitted().log_prob(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="1 values that are NaN or infinite"):
        g.VAE().fit(torch.tensor([[1.0], [np.nan], [2.0]]))
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\], got \[0, 255\]"):
        g.GaussianMixture(1).fit(torch.tensor([0.0, 255.0]).view(2, 1, 1, 1))
    with pytest.raises(ValueError, match=r"takes images \(N, C, H, W\), got shape \(200, 3\)"):
        g.PixelCNN().fit(vectors())
    with pytest.raises(ValueError, match="AutoEncoder has no density: use typicality"):
        g.AutoEncoder().log_prob(vectors())
    with pytest.raises(ValueError, match=r"steps=0 must be at least 1"):
        g.VAE().fit(vectors(), steps=0)
    with pytest.raises(ValueError, match=r"data must be \(N, D\) or \(N, C, H, W\) with N >= 1, got shape \(9, 8, 8\)"):
        g.VAE().fit(torch.zeros(9, 8, 8))
    with pytest.raises(ValueError, match=r"looks like \(N, H, W, C\): permute it"):
        g.VAE().fit(torch.zeros(9, 8, 8, 3))
    with pytest.raises(ValueError, match="a covariance is singular: raise reg_covar"):
        g.GaussianMixture(5, covariance_type="mfa", reg_covar=0).fit(vectors(6).repeat(10, 1))
    with pytest.raises(ValueError, match="n=0 must be at least 1"):
        fitted().sample(0)


def test_labels_are_refused_where_they_would_be_ignored():
    y = torch.zeros(200, dtype=torch.int64)
    model = g.GaussianMixture(2).fit(vectors(), y)
    assert model.spec["n_classes"] == 0
    for call in (
        lambda: model.sample(2, y=1),
        lambda: model.log_prob(vectors(), y),
        lambda: model.typicality(vectors(), y),
        lambda: g.complete(model, vectors(), torch.ones(3), 0),
        lambda: g.inpaint(model, vectors(), torch.ones(3), y=y),
        lambda: g.denoise(model, vectors(), 0.1, y=y),
    ):
        with pytest.raises(ValueError, match="GaussianMixture has no classes: leave y out"):
            call()
    plain = g.VAE(latent=1, hidden=4).fit(vectors(), steps=1, progress=False)
    for call in (plain.log_prob, plain.encode, plain.elbo):
        with pytest.raises(ValueError, match="this VAE was fitted without labels"):
            call(vectors(), y)


def test_a_fit_forgets_the_one_before_and_takes_numpy_numbers(tmp_path):
    model = g.VAE(latent=np.int64(1), hidden=4, lr=np.float32(1e-3))
    model.fit(vectors(40), torch.arange(40) % 2, steps=1, progress=False)
    model.fit(vectors(60), torch.arange(60) % 3, steps=1, progress=False)
    assert model.spec["n_classes"] == 3
    copy = g.load(model.save(tmp_path / "vae.safetensors"))
    for y in (np.int64(2), np.array(2), 2):
        assert torch.equal(copy.sample(3, y=y, seed=0), model.sample(3, y=torch.full((3,), 2), seed=0))
    assert g.GaussianMixture(np.int64(3)).fit(vectors()).save(tmp_path / "m.safetensors").is_file()


@pytest.mark.parametrize(
    "levels, expected", [(2, ("binary", 2)), (17, ("categorical", 17)), (64, ("categorical", 64)), (256, ("grey", 256))]
)
def test_value_type_is_inferred(levels, expected):
    x = (torch.randint(levels, (500, 1, 4, 4), generator=seed_generator(0)) / (levels - 1)).float()
    assert infer_values(x) == expected


def test_continuous_values_are_grey():
    assert infer_values(torch.rand(3, 1, 2, 2, generator=seed_generator(0))) == ("grey", 256)


def test_seeded_restores_the_global_generator():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(7, torch.device("cpu")):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected) and not torch.equal(inside, expected)


def test_fast_matmul_restores_precision():
    before = torch.backends.mkldnn.matmul.fp32_precision
    with pytest.raises(RuntimeError), fast_matmul(torch.device("cpu"), True):
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
        raise RuntimeError
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_settings_of_all_threads_are_the_strictest_and_end_as_they_were():
    """Two threads whose blocks overlap: the first to enter leaves first."""
    knob, cpu = torch.backends.mkldnn.matmul, torch.device("cpu")
    before = knob.fp32_precision
    training, reading = fast_matmul(cpu, True), full_precision()
    training.__enter__()
    reading.__enter__()
    assert knob.fp32_precision == "ieee"  # a likelihood is exact beside a thread that trains
    training.__exit__(None, None, None)
    assert knob.fp32_precision == "ieee"
    reading.__exit__(None, None, None)
    assert knob.fp32_precision == before
    torch.set_default_dtype(torch.float64)
    try:
        one, other = learning(), learning()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32
        other.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_likelihoods_are_computed_in_full_precision():
    seen, model = [], g.VAE(latent=1, hidden=4).fit(vectors(), steps=1, progress=False)
    with fast_matmul(torch.device("cpu"), True):
        model._quietly(lambda: seen.append(torch.backends.mkldnn.conv.fp32_precision))
    assert seen == ["ieee"]


def test_unknown_device_is_refused():
    assert resolve_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            resolve_device("cuda")
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        resolve_device("gpu")


def test_load_leaves_the_global_generator_and_files_have_the_usual_mode(tmp_path):
    path = g.VAE(latent=1, hidden=4).fit(vectors(), steps=1, progress=False).save(tmp_path / "vae.safetensors")
    before = torch.get_rng_state()
    g.load(path)
    assert torch.equal(torch.get_rng_state(), before)
    (tmp_path / "other").touch()
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_an_interrupt_while_calibrating_keeps_what_was_learned(monkeypatch):
    x = torch.rand(3000, 4, generator=torch.Generator().manual_seed(0))
    model, calls = g.AutoEncoder(latent=2, hidden=8), []

    def interrupted(model, val, progress):
        calls.append(len(val[0]))
        raise KeyboardInterrupt

    monkeypatch.setattr("generative.interface.fitting.errors_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, val=x, steps=3, progress=False)
    assert calls == [1500] and model.spec and 0 < float(model.typicality(x[:9]).min()) <= 1


def test_a_fine_tuning_that_fails_leaves_the_weights_as_they_were():
    x = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
    model = g.VAE(latent=2, hidden=8, k_eval=2, prior_components=0).fit(x, steps=5, progress=False)
    before = model.error(x)

    def full_disk(step, scalars):
        if step == 3:
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        model.fit(x + 1, steps=9, progress=False, fine_tune=True, on_step=full_disk)
    assert torch.equal(model.error(x), before)


@pytest.mark.parametrize(
    "model", [lambda: g.PixelCNN(features=4, layers=1), lambda: g.VAE(latent=2, hidden=8, likelihood="bernoulli")]
)
def test_held_out_values_that_cannot_be_are_noticed_before_the_training(model):
    x = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    steps = []
    with pytest.raises(ValueError, match=r"levels|values 0 and 1"):
        model().fit(x.round(), val=x, steps=3, progress=False, on_step=lambda step, _: steps.append(step))
    assert steps == []


SEEN = {"gan": lambda: g.GAN(latent=2, hidden=8), "vae": lambda: g.VAE(latent=2, hidden=8, k_eval=2)}


@pytest.mark.parametrize("name", SEEN)
def test_classes_that_no_sample_had_take_no_part(name):
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)).round()
    model = SEEN[name]().fit(x, torch.arange(40) % 2 + 3, steps=5, progress=False)
    assert model.spec["n_classes"] == 5 and model.met_classes() == [3, 4]
    if name == "vae":
        assert set(model.best_class(x).tolist()) <= {3, 4}
    else:
        each = torch.stack([model.error(x, torch.full((40,), k)) for k in (3, 4)])
        torch.testing.assert_close(model.error(x), 0.6931472 - torch.logsumexp(-each, 0))
        from gail_suite.generative.using.inversion import invert

        assert set(invert(model, x[:6])[1].tolist()) <= {3, 4}


def test_labels_and_context_may_be_columns_of_a_data_frame():
    pd = pytest.importorskip("pandas")
    x = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))
    frame = pd.DataFrame({"class": np.arange(40) % 2, "a": 0.5, "b": 1.0}).iloc[::-1]
    assert g.VAE(latent=2, hidden=8).fit(x, frame["class"], steps=2, progress=False).spec["n_classes"] == 2
    assert g.VAE(latent=2, hidden=8).fit(x, frame[["a", "b"]], steps=2, progress=False).spec["context"] == 2


def test_inversion_searches_also_where_gradients_are_off():
    x = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = g.GAN(latent=2, hidden=8).fit(x, steps=2, progress=False)
    mask = torch.ones_like(x[:2], dtype=torch.bool)
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            assert g.inpaint(model, x[:2], mask).shape == (2, 1, 8, 8)


ROWS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: g.GaussianMixture(2.0), "n_components=2.0 must be a whole number"),
        (lambda: g.GaussianMixture(None), "n_components=None must be a whole number"),
        (lambda: g.GaussianMixture(max_iter=True), "max_iter=True must be a whole number"),
        (lambda: g.GaussianMixture(tol="a"), "tol='a' must be a number"),
        (lambda: g.GaussianMixture(tol=float("nan")), "tol must be 0 or more, got nan"),
        (lambda: g.VAE(latent=2.5), "latent=2.5 must be a whole number"),
        (lambda: g.VAE(batch_size=2.5), "batch_size=2.5 must be a whole number"),
        (lambda: g.AutoEncoder(lr="a"), "lr='a' must be a number"),
        (lambda: g.PixelCNN(features="8"), "features='8' must be a whole number"),
        (lambda: g.VQVAE(codes=1), "codes must be at least 2, got 1"),
        (lambda: g.GaussianMixture().fit(ROWS, steps=2.5), "steps=2.5 must be a whole number"),
        (lambda: g.VAE().fit(ROWS, steps="3"), "steps='3' must be a whole number"),
        (lambda: g.GaussianMixture().fit(ROWS, seed=1.0), "seed=1.0 must be a whole number"),
        (lambda: g.GaussianMixture().fit(ROWS, seed=None), "seed=None must be a whole number"),
        (lambda: g.VAE().fit(ROWS, seed=2**64), "does not fit into 64 bits"),
        (lambda: g.GaussianMixture().fit(ROWS).sample(2, seed=-(2**70)), "does not fit into 64 bits"),
        (lambda: g.GaussianMixture().fit(ROWS).sample(2.5), "n=2.5 must be a whole number"),
        (lambda: g.GaussianMixture().fit(ROWS).sample(10**13), "a draw of 10,000,000,000,000 samples needs .* GB"),
        (lambda: g.GaussianMixture().fit([[10**400, 1], [2, 3]]), "data must be real numbers"),
        (lambda: g.GaussianMixture().fit(torch.eye(4).to_sparse()), "give x.to_dense()"),
        (lambda: g.VAE().fit(ROWS, checkpoint=__file__), "is a file: give a folder"),
        (lambda: g.pretrained("vae-digit"), "no pretrained model 'vae-digit': did you mean 'vae-digits'"),
    ],
)
def test_what_cannot_be_is_named_with_its_rule(act, message):
    with pytest.raises(ValueError, match=re.escape(message).replace(re.escape(".*"), ".*")):
        act()


def test_every_kind_of_number_is_data():
    expected = g.GaussianMixture().fit(ROWS).means_
    for same in (ROWS.astype(np.longdouble), ROWS.tolist(), ROWS.astype(object), ROWS[::-1][::-1]):
        torch.testing.assert_close(g.GaussianMixture().fit(same).means_, expected)
    with torch.inference_mode():
        torch.testing.assert_close(g.GaussianMixture().fit(torch.as_tensor(ROWS)).means_, expected)


def test_reversed_arrays_are_arrays_everywhere():
    model, image = g.VAE(latent=2, hidden=8).fit(STRIPES, steps=2, progress=False), np.asarray(STRIPES[:4])[::-1]
    assert torch.equal(g.interpolate(model, image, image, 2), g.interpolate(model, image.copy(), image.copy(), 2))
    z = np.zeros((3, 2), np.float32)[::-1]
    assert torch.equal(model.decode(z), model.decode(z.copy()))
    assert g.upscale(model, np.full((2, 1, 2, 2), 0.5)[::-1], 2).shape == (2, 1, 4, 4)
    mixture = g.GaussianMixture().fit(ROWS)
    assert mixture.posterior_mean(ROWS[::-1], np.eye(4)).shape == (30, 4)


def test_a_setting_of_a_later_version_is_named(tmp_path):
    for model in (g.GaussianMixture().fit(ROWS), g.VAE(latent=2, hidden=8).fit(ROWS, steps=2, progress=False)):
        model.config["wobble"] = 3
        with pytest.raises(ValueError, match=r"m.st has settings of .* does not know \(wobble\): a later one wrote it"):
            g.load(model.save(tmp_path / "m.st"))
