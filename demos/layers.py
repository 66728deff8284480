"""Layers that numpy evaluates row by row, and the decoder of latent actions made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np


def layer(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight (out, in) and bias (out,) in the memory order that `linear` reads."""
    return np.ascontiguousarray(weight.T), bias


def linear(x: np.ndarray, weight_t: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W^T + b, row by row: one matrix product over the batch would round differently for different batch sizes."""
    return np.matmul(x[:, None, :], weight_t)[:, 0] + bias


class ActionDecoder:
    """(z, a) in [-1, 1]^(Z+A) -> share * clip(dec(z), -1, 1) + (1 - share) * a in [-1, 1]^A (Hausdorfer et al., 2024).

    dec is a ReLU MLP. Tensors: decoder.{i}.weight (out, in), decoder.{i}.bias (out,), decoder.share (1,).
    """

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        depth = decoder_depth(tensors)
        self.share = float(tensors["decoder.share"][0])
        self.latent = tensors["decoder.0.weight"].shape[1]
        self._layers = [layer(tensors[f"decoder.{i}.weight"], tensors[f"decoder.{i}.bias"]) for i in range(depth)]

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray]) -> Self | None:
        """The decoder among a policy's tensors, None where there is none."""
        return cls(tensors) if decoder_depth(tensors) else None

    def __call__(self, wide: np.ndarray) -> np.ndarray:
        """Actions (B, A) in [-1, 1] of wide vectors (B, Z + A)."""
        h = np.ascontiguousarray(wide[:, : self.latent])
        for weight, bias in self._layers[:-1]:
            h = np.maximum(linear(h, weight, bias), 0)
        decoded = np.clip(linear(h, *self._layers[-1]), -1, 1)
        return np.float32(self.share) * decoded + np.float32(1 - self.share) * wide[:, self.latent :]


def decoder_depth(tensors: Mapping[str, np.ndarray]) -> int:
    """Layers of the decoder among a policy's tensors."""
    return sum(name.startswith("decoder.") and name.endswith(".weight") for name in tensors)
