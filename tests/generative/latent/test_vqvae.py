from pathlib import Path

import pytest
import torch

import generative as g

Y = torch.arange(120) % 2
ROWS = (torch.arange(8) % 2).float().view(8, 1).expand(8, 8)
X = torch.where(Y.view(-1, 1, 1, 1) == 1, ROWS, ROWS.T).contiguous()
SMALL = {"codes": 4, "code": 2, "hidden": 8, "features": 8, "layers": 1}


@pytest.fixture(scope="module")
def model() -> g.VQVAE:
    return g.VQVAE(**SMALL, lr=1e-2).fit(X, steps=200, progress=False)


def test_two_patterns_take_about_one_bit(model: g.VQVAE):
    """Two equally frequent images: log 2 nats, and no model can take less of them."""
    nats = -float(model.log_prob(X).mean())
    assert 0.69 <= nats < 4.0 and model.density == "bound"
    assert torch.equal((model.reconstruct(X) > 0.5).float(), X)


def test_samples_are_the_patterns(model: g.VQVAE):
    x = model.sample(40, seed=0)
    along, across = (x == ROWS).flatten(1).float().mean(1), (x == ROWS.T).flatten(1).float().mean(1)
    assert torch.maximum(along, across).mean() > 0.9 and 0.1 < (along > across).float().mean() < 0.9
    assert torch.equal(x, model.sample(40, seed=0))


def test_codes_and_vectors_decode_alike(model: g.VQVAE):
    codes = model.codes(X[:6])
    assert codes.shape == (6, 4, 4) and int(codes.max()) < 4
    torch.testing.assert_close(model.decode(codes), model.decode(model.encode(X[:6])))


def test_every_parameter_gets_a_gradient(model: g.VQVAE):
    net = model.net.train()
    net.zero_grad()
    (model._loss(X, None).mean() + model._prior_loss(net.codes(net.vectors(X)), None).mean()).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())
    net.eval()


def test_file_tasks_and_mistakes(model: g.VQVAE, tmp_path):
    again = g.load(model.save(tmp_path / "m.safetensors"))
    assert torch.equal(again.log_prob(X), model.log_prob(X)) and torch.equal(
        again.sample(3, seed=1), model.sample(3, seed=1)
    )
    mask = torch.arange(8)[:, None] < 4
    filled = g.inpaint(model, X[:4], mask)
    assert torch.equal(filled[:, :, :4], X[:4, :, :4]) and g.interpolate(model, X[:1], X[1:2], 3).shape == (
        1,
        3,
        1,
        8,
        8,
    )
    with pytest.raises(ValueError, match="codes must be at least 2"):
        g.VQVAE(codes=1)
    with pytest.raises(ValueError, match=r"VQVAE takes images"):
        g.VQVAE().fit(torch.rand(9, 3))


def test_a_fit_that_ended_before_the_first_checkpoint_of_its_prior_goes_on(tmp_path: Path):
    def fitted(resume: bool) -> g.VQVAE:
        options = {"steps": 4, "progress": False, "checkpoint": tmp_path, "resume": resume}
        return g.VQVAE(**SMALL).fit(X, seed=0, **options)

    whole = fitted(False)
    for file in (tmp_path / "prior").iterdir():
        file.unlink()
    torch.testing.assert_close(fitted(True).log_prob(X[:4]), whole.log_prob(X[:4]), rtol=0, atol=0)
