"""Generative models that stand alone: ``fit``, ``sample``, ``log_prob``, ``typicality``, ``save``, ``load`` on
images and vectors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if __name__ == "generative":  # the short name: the modules are those of gail_suite.generative
    import gail_suite

    gail_suite.short_name(__name__)

if TYPE_CHECKING:
    from gail_suite.generative import data
    from gail_suite.generative.adversarial.dcgan import DCGAN
    from gail_suite.generative.adversarial.gan import GAN
    from gail_suite.generative.autoregressive.pixelcnn import PixelCNN
    from gail_suite.generative.autoregressive.pixelrnn import PixelRNN
    from gail_suite.generative.core import backend
    from gail_suite.generative.data import text
    from gail_suite.generative.interface.files import load
    from gail_suite.generative.interface.model import GenerativeModel
    from gail_suite.generative.interface.module import AsModule
    from gail_suite.generative.latent.autoencoder import AutoEncoder
    from gail_suite.generative.latent.vae import VAE
    from gail_suite.generative.latent.vqvae import VQVAE
    from gail_suite.generative.measuring import metrics
    from gail_suite.generative.mixtures.bayesian_gmm import BayesianGaussianMixture
    from gail_suite.generative.mixtures.gmm import GaussianMixture
    from gail_suite.generative.using import callbacks, pictures, tasks
    from gail_suite.generative.using.library import pretrained
    from gail_suite.generative.using.tasks import complete, denoise, inpaint, interpolate, rank_anomalies, upscale

_HOME = {
    "GenerativeModel": "interface.model",
    "load": "interface.files",
    "GaussianMixture": "mixtures.gmm",
    "BayesianGaussianMixture": "mixtures.bayesian_gmm",
    "AutoEncoder": "latent.autoencoder",
    "VAE": "latent.vae",
    "PixelCNN": "autoregressive.pixelcnn",
    "PixelRNN": "autoregressive.pixelrnn",
    "GAN": "adversarial.gan",
    "DCGAN": "adversarial.dcgan",
    "VQVAE": "latent.vqvae",
    "AsModule": "interface.module",
    "pretrained": "using.library",
    "inpaint": "using.tasks",
    "denoise": "using.tasks",
    "upscale": "using.tasks",
    "interpolate": "using.tasks",
    "complete": "using.tasks",
    "rank_anomalies": "using.tasks",
}
_MODULES = {
    "backend": "core.backend",
    "callbacks": "using.callbacks",
    "data": "data",
    "metrics": "measuring.metrics",
    "pictures": "using.pictures",
    "tasks": "using.tasks",
    "text": "data.text",
}

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
        return import_module(f"gail_suite.generative.{_MODULES[name]}")
    if name in _HOME:
        return getattr(import_module(f"gail_suite.generative.{_HOME[name]}"), name)
    raise AttributeError(f"module 'generative' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
