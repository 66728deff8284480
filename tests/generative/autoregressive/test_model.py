"""Laws of every autoregressive model: both PixelCNNs, with kernels of two widths, and both PixelRNNs."""

from itertools import product
from pathlib import Path

import pytest
import torch

from generative.autoregressive.model import AutoregressiveModel
from generative.autoregressive.pixelcnn import PixelCNN
from generative.autoregressive.pixelrnn import PixelRNN

MODELS = {
    "masked": lambda **more: PixelCNN(gated=False, features=12, layers=2, **more),
    "gated": lambda **more: PixelCNN(gated=True, features=12, layers=2, **more),
    "masked-wide": lambda **more: PixelCNN(gated=False, features=12, layers=2, kernel=7, **more),
    "gated-wide": lambda **more: PixelCNN(gated=True, features=24, layers=2, kernel=5, **more),
    "row": lambda **more: PixelRNN("row", features=12, hidden=6, layers=2, **more),
    "diagonal": lambda **more: PixelRNN("diagonal", features=12, hidden=6, layers=2, **more),
}
every_model = pytest.mark.parametrize("name", MODELS)


def images(n: int, shape: tuple[int, int, int], levels: int, seed: int = 0) -> torch.Tensor:
    """Random images whose pixels repeat the one to the left half of the time, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(levels, (n, *shape), generator=generator)
    for j in range(1, shape[2]):
        copied = torch.rand(n, *shape[:2], generator=generator) < 0.5
        x[..., j] = torch.where(copied, x[..., j - 1], x[..., j])
    return x / (levels - 1)


def fitted(
    name: str, shape=(1, 3, 4), levels: int = 2, classes: int = 0, steps: int = 20, **more
) -> AutoregressiveModel:
    x = images(64, shape, levels)
    return MODELS[name](**more).fit(x, torch.arange(64) % classes if classes else None, steps=steps, progress=False)


def all_images(shape: tuple[int, int, int], levels: int) -> torch.Tensor:
    n = shape[0] * shape[1] * shape[2]
    return torch.tensor(list(product(range(levels), repeat=n)), dtype=torch.float32).view(-1, *shape) / (levels - 1)


@every_model
@pytest.mark.parametrize(("shape", "levels", "classes"), [((1, 3, 4), 2, 0), ((2, 1, 3), 3, 2)])
def test_probabilities_of_all_images_sum_to_one(
    name: str, shape: tuple[int, int, int], levels: int, classes: int
) -> None:
    model = fitted(name, shape, levels, classes)
    everything = all_images(shape, levels)
    assert model.log_prob(everything).double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    if classes:
        labels = torch.ones(len(everything), dtype=torch.int64)
        assert model.log_prob(everything, labels).double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def dependence(model: AutoregressiveModel) -> torch.Tensor:
    """(n, n): whether the logits of value a (raster order, channels last) depend on value b."""
    net = model.net.double()
    channels, height, width = net.shape
    x = torch.randn(1, height, width, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    condition = torch.zeros(1, len(net._like()), dtype=torch.float64)

    def logits(values: torch.Tensor) -> torch.Tensor:
        return net.head(net.features(values, condition)).unflatten(-1, (channels, -1)).sum(-1)

    n = height * width * channels
    return torch.autograd.functional.jacobian(logits, x).reshape(n, n) != 0


@every_model
@pytest.mark.parametrize("channels", [1, 3])
def test_causality_by_jacobian(name: str, channels: int) -> None:
    found = dependence(fitted(name, (channels, 3, 4), steps=1))
    assert not found.triu().any()
    if name in ("gated", "gated-wide", "diagonal"):  # and nothing before the pixel is hidden
        assert found.tril(-1).sum() == len(found) * (len(found) - 1) // 2


@pytest.mark.parametrize(("name", "seen"), [("masked", False), ("gated", True), ("diagonal", True)])
def test_blind_spot_to_the_upper_right(name: str, seen: bool) -> None:
    # pixel (1, 0) of a 2x6 image: the masked stem reaches (0, 3); later layers, in row 1 or one row up, add one column
    # each only by moving up, and there is no row left. The vertical stack of the gated one widens within row 0.
    found = dependence(fitted(name, (1, 2, 6), steps=1))
    assert bool(found[6, 4]) == seen and bool(found[6, 3])


@every_model
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = fitted(name, (2, 4, 4), levels=3, classes=2, steps=1)
    x = images(32, (2, 4, 4), 3, seed=1)
    net = model.net
    for p in net.parameters():
        p.requires_grad_(True)
    (-model._log_prob(x, torch.arange(32) % 2).mean()).backward()
    for parameter_name, p in net.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, parameter_name


@every_model
@pytest.mark.parametrize(("shape", "levels", "classes"), [((1, 5, 6), 2, 0), ((1, 4, 3), 17, 3), ((3, 4, 5), 4, 2)])
def test_cached_samples_equal_plain_samples(name: str, shape: tuple[int, int, int], levels: int, classes: int) -> None:
    model = fitted(name, shape, levels, classes, steps=2)
    before = dict(vars(model))
    cached, plain = model.sample(6, seed=3), model.sample(6, seed=3, method="plain")
    assert vars(model) == before, "threads share a model: a call leaves nothing on it"
    assert torch.equal(cached, plain) and cached.shape == (6, *shape)
    assert not torch.equal(cached, model.sample(6, seed=4))


@every_model
def test_samples_are_as_frequent_as_log_prob_says(name: str) -> None:
    model, n = fitted(name, (1, 2, 3), steps=30, lr=1e-2), 5_000
    codes = (model.sample(n, seed=0).flatten(1).long() * 2 ** torch.arange(6)).sum(1)
    everything = all_images((1, 2, 3), 2)
    index = (everything.flatten(1).long() * 2 ** torch.arange(6)).sum(1)
    p = model.log_prob(everything).double().exp()
    frequency = torch.bincount(codes, minlength=64)[index] / n
    assert ((frequency - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()  # five standard deviations
    assert (p.max() / p.min()) > 2  # not uniform, so the test can fail


@every_model
def test_fit_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: int, scalars: dict[str, float]) -> None:
        if step == 4:
            raise Killed

    x, given = images(40, (1, 3, 4), 2), {"steps": 8, "progress": False}
    whole = MODELS[name]().fit(x, **given)
    with pytest.raises(Killed):
        MODELS[name](checkpoint_every=2).fit(x, checkpoint=tmp_path, on_step=kill, **given)
    resumed = MODELS[name](checkpoint_every=2).fit(x, checkpoint=tmp_path, resume=True, **given)
    assert torch.equal(whole.log_prob(x), resumed.log_prob(x)) and whole.calibration == resumed.calibration


@every_model
def test_learning_lowers_the_negative_log_likelihood_below_independence(name: str) -> None:
    # a pixel repeats its left neighbour with probability 3/4: entropy 2 (log 2 + 4 h(1/4)) = 5.89, h(1/4) = 0.5623
    # nats; independent pixels give 10 log 2 = 6.93
    x = images(600, (1, 2, 5), 2, seed=7)
    model = MODELS[name](lr=1e-2, batch_size=32).fit(x[:400], steps=60, progress=False)
    nats = -model.log_prob(x[400:]).mean().item()
    assert 5.89 - 0.3 < nats < 6.93 - 0.5


def test_unlabelled_likelihood_is_the_mixture_over_classes() -> None:
    model, x = fitted("masked", classes=2), images(10, (1, 3, 4), 2, seed=2)
    parts = torch.stack([model.log_prob(x, torch.full((10,), k)) for k in (0, 1)])
    frequency = torch.tensor(model.spec["class_weights"]).log()[:, None]
    torch.testing.assert_close(model.log_prob(x), torch.logsumexp(parts + frequency, 0))


def test_score_is_lower_for_noise_than_for_data() -> None:
    model = MODELS["gated"](lr=1e-2, batch_size=32).fit(images(400, (1, 4, 4), 2).cumprod(3), steps=50, progress=False)
    typical, noise = images(100, (1, 4, 4), 2, seed=1).cumprod(3), torch.rand(100, 1, 4, 4).round()
    scores = model.typicality(typical)
    assert (scores > 0).all() and (scores <= 1).all() and scores.mean() > 2 * model.typicality(noise).mean()


def test_binarize_reads_grey_as_probabilities() -> None:
    grey = torch.rand(50, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    model = MODELS["masked"](binarize=True).fit(grey, steps=5, progress=False)
    assert model.spec["levels"] == 2 and set(model.sample(4, seed=0).unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(model.log_prob(grey), model.log_prob(grey))  # fixed draws
    one, other = model._levels(grey, 0), model._levels(grey.flip(0), 0)
    assert torch.equal(one, other.flip(0))  # of the image, whatever its place
    assert not torch.equal(*model._levels(torch.stack([grey[0], 1e-6 + 0.999 * grey[0]]).repeat(1, 1, 9, 9), 0))
    everything = all_images((1, 3, 3), 2)
    assert model.log_prob(everything).double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_levels_quantise_when_asked_for() -> None:
    model = MODELS["masked"](levels=4).fit(torch.rand(40, 1, 3, 3), steps=3, progress=False)
    assert set((model.sample(5, seed=0) * 3).unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert model.log_prob(torch.full((1, 1, 3, 3), 0.3)).equal(model.log_prob(torch.full((1, 1, 3, 3), 1 / 3)))


def test_mistakes_are_answered() -> None:
    model = fitted("masked", classes=2)
    x = images(4, (1, 3, 4), 2)
    for call, message in [
        (lambda: model.log_prob(x * 0.5 + 0.2), r"PixelCNN was fitted on 2 levels \(multiples of 1/1\), but the data"),
        (lambda: model.log_prob(x.expand(4, 3, 3, 4)), r"fitted on samples of shape \(1, 3, 4\), got \(3, 3, 4\)"),
        (lambda: model.log_prob(x * 3), r"images must lie in \[0, 1\], got \[0, 3\]"),
        (lambda: model.log_prob(x, torch.full((4,), 2)), r"label 2 is outside the 2 classes seen at fit"),
        (lambda: model.sample(2, y=7), r"label 7 is outside the 2 classes"),
        (lambda: model.sample(2, method="fast"), r"unknown sampling method 'fast': use 'cached' or 'plain'"),
        (lambda: fitted("row").sample(2, y=1), r"fitted without labels, so it has no classes"),
        (lambda: fitted("row").log_prob(x, torch.ones(4)), r"fitted without labels"),
        (lambda: MODELS["row"]().fit(x.flatten(1)), r"PixelRNN takes images \(N, C, H, W\), got shape \(4, 12\)"),
        (lambda: MODELS["row"]().fit(x * 255), r"divide by"),
        (lambda: MODELS["gated"]().sample(1), r"not fitted yet"),
        (lambda: MODELS["gated"](levels=1), r"levels must be at least 2, got 1"),
        (lambda: PixelCNN(batchsize=3), r"PixelCNN has no option 'batchsize': did you mean 'batch_size'\?"),
        (lambda: PixelCNN(layers=-1), r"layers must be at least 1, got -1"),
        (lambda: PixelRNN("column"), r"unknown PixelRNN kind 'column': use 'row' \(Row LSTM\) or 'diagonal'"),
        (
            lambda: model.fit(x, [0, 1, 0, 1], val=x),
            r"the data have labels, but val has none: give fit\(x, y, val=\(x, y\)\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
