"""Data by name, path or array, in memory or read row by row; texts."""

from gail_suite.generative.data.sources import Splits, as_images, binarize, image_folder, load, read_idx

__all__ = ["Splits", "as_images", "binarize", "image_folder", "load", "read_idx"]
