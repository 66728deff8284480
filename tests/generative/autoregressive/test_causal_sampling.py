import pytest
import torch

from generative.autoregressive.causal_sampling import draw, log_likelihood
from generative.autoregressive.pixelcnn import PixelCNN


@pytest.fixture(scope="module")
def model() -> PixelCNN:
    """A model of 2x2 images whose four pixels are mostly equal."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400, 1, 1, 1, generator=generator).round().expand(-1, 1, 2, 2)
    noisy = torch.where(torch.rand(x.shape, generator=generator) < 0.1, 1 - x, x)
    return PixelCNN(gated=True, features=8, layers=1, lr=2e-2, batch_size=32).fit(noisy, steps=80, progress=False)


def conditional(model: PixelCNN, known: dict[int, int]) -> dict[int, float]:
    """p(the other pixels | known) by enumeration; keys are the 4-bit codes of the images."""
    codes = [c for c in range(16) if all((c >> k) & 1 == v for k, v in known.items())]
    x = torch.tensor([[(c >> k) & 1 for k in range(4)] for c in codes]).view(-1, 1, 2, 2).float()
    p = model.log_prob(x).double().softmax(0)
    return dict(zip(codes, p.tolist(), strict=True))


@pytest.mark.parametrize(
    ("known", "particles", "slack"),
    [
        ({0: 1, 1: 0}, 1, 0.0),  # raster suffix unknown: exact with one particle
        ({3: 1}, 64, 0.02),  # the last pixel known: exact only in the limit of many particles
        ({0: 0, 3: 1}, 64, 0.02),
    ],
)
def test_inpainting_draws_from_the_conditional(
    model: PixelCNN, known: dict[int, int], particles: int, slack: float
) -> None:
    n = 2000
    x, mask = torch.zeros(n, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    for k, v in known.items():
        x.view(n, 4)[:, k], mask.view(4)[k] = v, True
    filled = model.inpaint(x, mask, seed=0, particles=particles)
    assert torch.equal(filled[mask.expand_as(x)], x[mask.expand_as(x)])
    codes = (filled.flatten(1).long() * 2 ** torch.arange(4)).sum(1)
    for code, p in conditional(model, known).items():
        assert abs((codes == code).float().mean().item() - p) < 5 * (p * (1 - p) / n) ** 0.5 + slack


def test_one_particle_ignores_later_pixels_and_many_do_not(model: PixelCNN) -> None:
    x, mask = torch.ones(2000, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    mask[..., 1, 1] = True
    few, many = (model.inpaint(x, mask, seed=1, particles=p)[:, 0, 0, 0].mean().item() for p in (1, 32))
    prior, posterior = (sum(p for code, p in conditional(model, known).items() if code & 1) for known in ({}, {3: 1}))
    assert posterior - prior > 0.15  # so the two cannot be confused
    assert abs(few - prior) < 0.06 and abs(many - posterior) < 0.06


@pytest.mark.parametrize(
    ("known", "particles", "slack"),
    [
        ({0: 1, 1: 1}, 1, 0.0),  # raster suffix unknown: exact, labels too
        ({3: 1}, 64, 0.02),
        ({0: 0, 3: 1}, 64, 0.02),
    ],
)
def test_labels_of_an_inpainting_are_drawn_given_what_is_known(
    known: dict[int, int], particles: int, slack: float
) -> None:
    """Class 0 is mostly white, class 1, half as frequent, mostly black; codes by enumeration over both classes."""
    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(300) % 3 == 0).long()
    x = (torch.rand(300, 1, 2, 2, generator=generator) < 0.1 + 0.8 * y.view(-1, 1, 1, 1)).float()
    model = PixelCNN(gated=False, features=8, layers=1, lr=2e-2, batch_size=32).fit(x, y, steps=80, progress=False)
    n, mask = 2000, torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    given = torch.zeros(n, 1, 2, 2)
    for k, v in known.items():
        given.view(n, 4)[:, k], mask.view(4)[k] = v, True
    filled = model.inpaint(given, mask, seed=0, particles=particles)
    codes = (filled.flatten(1).long() * 2 ** torch.arange(4)).sum(1)
    for code, p in conditional(model, known).items():
        assert abs((codes == code).float().mean().item() - p) < 5 * (p * (1 - p) / n) ** 0.5 + slack


def test_known_values_need_not_be_valid_where_unknown(model: PixelCNN) -> None:
    x = torch.full((2, 1, 2, 2), float("nan"))
    x[..., 0, :] = 1.0
    mask = torch.tensor([True, True, False, False]).view(1, 1, 2, 2)
    assert torch.equal(model.inpaint(x, mask, seed=0)[..., 0, :], torch.ones(2, 1, 2))


def test_draw_inverts_the_distribution_function() -> None:
    logits = torch.tensor([0.2, 0.3, 0.5]).log().expand(5, 3)
    u = torch.tensor([0.0, 0.19, 0.21, 0.49, 0.9999999])
    assert draw(logits, u).tolist() == [0, 0, 1, 1, 2]
    assert draw(torch.zeros(2, 1), torch.tensor([0.4, 0.6])).tolist() == [1, 0]


def test_log_likelihood_of_binary_and_categorical_values() -> None:
    # sigmoid(log 3) = 3/4
    logit = torch.tensor([[3.0]]).log()
    expected = torch.tensor([0.75, 0.25]).log()
    torch.testing.assert_close(log_likelihood(logit.expand(2, 1), torch.tensor([1, 0])), expected)
    p = torch.tensor([[0.2, 0.3, 0.5]])
    torch.testing.assert_close(log_likelihood(p.log(), torch.tensor([2])), torch.tensor([0.5]).log())
