"""`gail-suite gen`: fit a generative model to images or vectors, and use it."""

from gail_suite.commands.gen.fitting import fit
from gail_suite.commands.gen.measuring import info, score
from gail_suite.commands.gen.repairing import denoise, inpaint, upscale
from gail_suite.commands.gen.sampling import interpolate, sample

__all__ = ["denoise", "fit", "info", "inpaint", "interpolate", "sample", "score", "upscale"]
