"""Every model, application and figure on a device that is not the processor, and equal to the processor's."""

import pytest
import torch

import generative as g
from generative.core.backend import fast_matmul, has_fast_bf16, seeded
from generative.measuring import metrics
from generative.training.ranks import Ranks
from generative.training.steps import TrainingDiverged, Watch
from tests.pretend import NAME, Pretend, pretend_device


@pytest.fixture
def pretend():
    with pretend_device() as mode:
        yield mode


IMAGES = (torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 4).round() / 4
LABELS = torch.arange(40) % 2


def test_the_pretend_device_refuses_what_cuda_refuses(pretend: Pretend):
    here = torch.ones(3, device=NAME)
    for call in (
        lambda: here + torch.ones(3),
        lambda: torch.cat([here, torch.ones(1)]),
        lambda: torch.ones(3)[torch.zeros(2, dtype=torch.int64, device=NAME)],
        lambda: torch.rand(3, device=NAME, generator=torch.Generator()),
        lambda: torch.rand(3, generator=torch.Generator(NAME)),
        lambda: here.numpy(),
        lambda: torch.zeros(()).add_(here.sum()),
    ):
        with pytest.raises((RuntimeError, TypeError)):
            call()
    assert float((here * torch.tensor(2.0))[torch.tensor([0])].sum()) == 2.0  # as CUDA, it takes these


MODELS = {
    "gmm": lambda: g.GaussianMixture(2),
    "mfa": lambda: g.GaussianMixture(2, covariance_type="mfa", n_factors=2),
    "pixelcnn": lambda: g.PixelCNN(features=4, layers=1),
    "row": lambda: g.PixelRNN(features=4, hidden=4, layers=1),
    "diagonal": lambda: g.PixelRNN(kind="diagonal", features=4, hidden=4, layers=1),
    "autoencoder": lambda: g.AutoEncoder(latent=3, hidden=8, mixture=2),
    "vae": lambda: g.VAE(latent=3, hidden=8, prior_components=2, k_eval=3),
    "iwae": lambda: g.VAE(latent=3, hidden=8, objective="iwae", k_eval=3, binarize=True),
    "vqvae": lambda: g.VQVAE(codes=4, code=2, hidden=4, features=4, layers=1),
    "gan": lambda: g.GAN(latent=3, hidden=8, r1=0.3),
    "dcgan": lambda: g.DCGAN(latent=3, features=4, spectral_norm=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_and_all_its_tasks_run_on_the_device(pretend: Pretend, name: str, tmp_path, monkeypatch):
    for constant in ("inversion.STEPS", "inversion.STARTS", "tasks.PROJECTIONS"):
        monkeypatch.setattr(f"generative.using.{constant}", 1)
    model = MODELS[name]()
    y = LABELS if model.conditional else None
    model.fit(IMAGES, y, steps=2, device=NAME, progress=False)
    x, mask = IMAGES[:2], torch.arange(8)[:, None] < 6
    found = {
        "sample": model.sample(2, seed=0),
        "typicality": model.typicality(x),
        "inpaint": g.inpaint(model, x, mask),
        "ranks": g.rank_anomalies(model, x),
    }
    if model.density != "none":
        found["log_prob"] = model.log_prob(x)
    if hasattr(model, "posterior_mean") or hasattr(model, "decode"):
        found["denoise"] = g.denoise(model, x, 0.1)
        found["upscale"] = g.upscale(model, torch.nn.functional.avg_pool2d(x, 2), 2)
    if hasattr(model, "decode"):
        found["interpolate"] = g.interpolate(model, x[:1], x[1:], 2)
    for task, value in found.items():
        assert value.device.type == NAME, task
    again = g.load(model.save(tmp_path / "m.safetensors"))
    torch.testing.assert_close(again.typicality(x), found["typicality"].cpu(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["pixelcnn", "vae", "gan"])
def test_the_host_waits_for_no_step(pretend: Pretend, name: str):
    """Ten steps more would be ten waits more; the iterations of the mixture over the codes differ by fewer."""
    counts = []
    for steps in (10, 20):
        pretend.syncs.clear()
        MODELS[name]().fit(IMAGES, steps=steps, device=NAME, progress=False)
        counts.append(pretend.syncs.total())
    assert abs(counts[1] - counts[0]) < 4, pretend.syncs


def test_a_loss_that_is_not_finite_stops_a_device_within_25_steps(pretend: Pretend):
    net = torch.nn.Linear(2, 1).to(NAME)
    watch, optimiser = Watch(100, torch.device(NAME), Ranks(), 3), torch.optim.AdamW(net.parameters())
    x = torch.ones(3, 2, device=NAME)
    with pytest.raises(TrainingDiverged, match=r"by step 24: a loss or a gradient is not finite"):
        for step in range(30):
            watch.descend(net(x).mean() * (float("nan") if step == 3 else 1.0), net, optimiser, 0.1, 1.0, x, step)
    assert all(bool(torch.isfinite(p).all()) for p in net.parameters())


def test_much_data_stays_with_the_host(pretend: Pretend, monkeypatch):
    here = g.VAE(latent=3, hidden=8, prior_components=2, k_eval=3).fit(IMAGES, steps=3, device=NAME, progress=False)
    monkeypatch.setattr("generative.interface.inputs.ON_DEVICE", 100)
    away = g.VAE(latent=3, hidden=8, prior_components=2, k_eval=3).fit(IMAGES, steps=3, device=NAME, progress=False)
    assert torch.equal(here.sample(4, seed=0).cpu(), away.sample(4, seed=0).cpu())


def test_figures_compare_what_is_on_two_devices(pretend: Pretend):
    there, y = IMAGES.to(NAME), LABELS.to(NAME)
    features = metrics.train_features(there, y, IMAGES, LABELS, steps=2)
    on_cpu = metrics.train_features(IMAGES, LABELS, IMAGES, LABELS, steps=2)
    assert features(IMAGES).device.type == NAME and on_cpu(there).device.type == "cpu"
    assert metrics.frechet_distance(features(IMAGES), on_cpu(there)) >= 0
    for a, b in ((there, IMAGES), (IMAGES, there)):
        assert metrics.ndb(a, b, bins=3) == metrics.ndb(IMAGES, IMAGES, bins=3)
        assert metrics.nearest_neighbour_accuracy(a, b) == metrics.nearest_neighbour_accuracy(IMAGES, IMAGES)
        table = metrics.independent_values(a, 5)
        assert metrics.independent_nats(table, b) == metrics.independent_nats(
            metrics.independent_values(IMAGES, 5), IMAGES
        )
        kde = metrics.kernel_density(a, 0.1)
        assert float(kde.log_prob(b).sum()) == pytest.approx(
            float(metrics.kernel_density(IMAGES, 0.1).log_prob(IMAGES).sum())
        )


def test_seeds_of_the_device_in_use_are_restored_and_others_left_alone(pretend: Pretend):
    torch.manual_seed(5)
    before, there = torch.default_generator.get_state(), torch.pretend.default_generators[0]
    state = there.get_state()
    with seeded(1, torch.device(NAME)):
        first = torch.rand(2, device=NAME), torch.rand(2)
    assert torch.equal(there.get_state(), state) and torch.equal(torch.default_generator.get_state(), before)
    with seeded(1, torch.device("cpu")):  # a fit on the processor draws the same, and does not touch the device
        assert torch.equal(torch.rand(2), first[1]) and torch.equal(there.get_state(), state)


def test_a_processors_arithmetic_does_not_depend_on_a_gpu_beside_it(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("generative.core.backend.has_amx_bf16", lambda: False)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with fast_matmul(torch.device("cpu")):
        assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert not has_fast_bf16(torch.device("cpu")) and not has_fast_bf16(torch.device("meta"))
