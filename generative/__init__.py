"""Generative models that stand alone: ``fit``, ``sample``, ``log_prob``, ``typicality``, ``save``, ``load`` on
images and vectors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ == "generative":  # the short name: the modules are those of gail_suite.generative
    import gail_suite

    gail_suite.short_name(__name__)

if TYPE_CHECKING:
    from gail_suite.generative import backend, callbacks, data, metrics, pictures, tasks, text
    from gail_suite.generative.autoencoder import AutoEncoder
    from gail_suite.generative.bayesian_gmm import BayesianGaussianMixture
    from gail_suite.generative.dcgan import DCGAN
    from gail_suite.generative.files import load
    from gail_suite.generative.gan import GAN
    from gail_suite.generative.gmm import GaussianMixture
    from gail_suite.generative.interface import GenerativeModel
    from gail_suite.generative.library import pretrained
    from gail_suite.generative.module import AsModule
    from gail_suite.generative.pixelcnn import PixelCNN
    from gail_suite.generative.pixelrnn import PixelRNN
    from gail_suite.generative.tasks import complete, denoise, inpaint, interpolate, rank_anomalies, upscale
    from gail_suite.generative.vae import VAE
    from gail_suite.generative.vqvae import VQVAE

_HOME = {
    "GenerativeModel": "interface",
    "load": "files",
    "GaussianMixture": "gmm",
    "BayesianGaussianMixture": "bayesian_gmm",
    "AutoEncoder": "autoencoder",
    "VAE": "vae",
    "PixelCNN": "pixelcnn",
    "PixelRNN": "pixelrnn",
    "GAN": "gan",
    "DCGAN": "dcgan",
    "VQVAE": "vqvae",
    "AsModule": "module",
    "pretrained": "library",
    "inpaint": "tasks",
    "denoise": "tasks",
    "upscale": "tasks",
    "interpolate": "tasks",
    "complete": "tasks",
    "rank_anomalies": "tasks",
}
_MODULES = ("backend", "callbacks", "data", "metrics", "pictures", "tasks", "text")

__all__ = [
    "DCGAN",
    "GAN",
    "VAE",
    "VQVAE",
    "AsModule",
    "AutoEncoder",
    "BayesianGaussianMixture",
    "GaussianMixture",
    "GenerativeModel",
    "PixelCNN",
    "PixelRNN",
    "backend",
    "callbacks",
    "complete",
    "data",
    "denoise",
    "inpaint",
    "interpolate",
    "load",
    "metrics",
    "pictures",
    "pretrained",
    "rank_anomalies",
    "tasks",
    "text",
    "upscale",
]


def __getattr__(name: str) -> Any:
    """Import a name's module when the name is first used, so that ``import generative`` is quick."""
    if name in _MODULES:
        return import_module(f"gail_suite.generative.{name}")
    if name in _HOME:
        return getattr(import_module(f"gail_suite.generative.{_HOME[name]}"), name)
    raise AttributeError(f"module 'generative' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
