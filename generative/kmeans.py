"""k-means clusters as the start of EM."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SUBSAMPLE = 20_000


def squared_distances(x: Tensor, centres: Tensor) -> Tensor:
    """Squared Euclidean distances (N, K), never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp_min_(0)


def plus_plus(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Indices (k,) of ``k`` rows of ``x`` (N, D) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each new centre is the best of 2 + log k candidates drawn with probability proportional to their squared distance
    from the centres so far; where all distances are zero, rows are drawn uniformly.
    """
    trials = 2 + int(math.log(k))
    x = x.to(torch.float64)
    chosen = [int(torch.randint(len(x), (1,), generator=generator, device=x.device))]
    nearest = squared_distances(x, x[chosen]).squeeze(1)
    for _ in range(k - 1):
        edges = (nearest if float(nearest.sum()) > 0 else torch.ones_like(nearest)).cumsum(0)
        draws = torch.rand(trials, generator=generator, device=x.device, dtype=torch.float64) * edges[-1]
        candidates = torch.searchsorted(edges, draws, right=True).clamp_max_(len(x) - 1)
        to_candidates = torch.minimum(squared_distances(x, x[candidates]), nearest.unsqueeze(1))
        best = int(to_candidates.sum(0).argmin())
        chosen.append(int(candidates[best]))
        nearest = to_candidates[:, best]
    return torch.tensor(chosen, device=x.device)


def kmeans(x: Tensor, k: int, generator: torch.Generator, max_iter: int = 100) -> Tensor:
    """Cluster index (N,) of every row of ``x`` after Lloyd's iterations on at most 20,000 of them."""
    subset = x
    if len(x) > SUBSAMPLE:
        subset = x[torch.randperm(len(x), generator=generator, device=x.device)[:SUBSAMPLE]]
    centres = subset[plus_plus(subset, k, generator)]
    before = None
    for _ in range(max_iter):
        labels = squared_distances(subset, centres).argmin(1)
        if before is not None and torch.equal(labels, before):
            break
        before = labels
        counts = torch.bincount(labels, minlength=k).to(x.dtype).unsqueeze(1)
        sums = torch.zeros_like(centres).index_add_(0, labels, subset)
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return squared_distances(x, centres).argmin(1)
