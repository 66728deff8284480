"""k-means clusters as the start of EM."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SUBSAMPLE = 20_000


def squared_distances(x: Tensor, centres: Tensor) -> Tensor:
    """Squared Euclidean distances (N, K), never below zero."""
    return (x.square().sum(1, keepdim=True) - 2 * x @ centres.T + centres.square().sum(1)).clamp_min_(0)


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """Index (N,) of the nearest centre; |x|^2 is the same for all of them and left out."""
    return torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2).argmin(1)


def plus_plus(x: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Indices (k,) of ``k`` rows of ``x`` (N, D) chosen by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each new centre is the best of 2 + log k candidates drawn with probability proportional to their squared distance
    from the centres so far; where all distances are zero, rows are drawn uniformly.
    """
    trials = 2 + int(math.log(k))
    x = x.to(torch.float64)
    chosen = [int(torch.randint(len(x), (1,), generator=generator, device=x.device))]
    gap = squared_distances(x, x[chosen]).squeeze(1)
    for _ in range(k - 1):
        edges = (gap if float(gap.sum()) > 0 else torch.ones_like(gap)).cumsum(0)
        draws = torch.rand(trials, generator=generator, device=x.device, dtype=torch.float64) * edges[-1]
        candidates = torch.searchsorted(edges, draws, right=True).clamp_max_(len(x) - 1)
        to_candidates = torch.minimum(squared_distances(x, x[candidates]), gap.unsqueeze(1))
        best = int(to_candidates.sum(0).argmin())
        chosen.append(int(candidates[best]))
        gap = to_candidates[:, best]
    return torch.tensor(chosen, device=x.device)


def kmeans(x: Tensor, k: int, generator: torch.Generator, max_iter: int = 100) -> Tensor:
    """Cluster index (N,) of every row of ``x`` after Lloyd's iterations on at most 20,000 of them."""
    subset = x
    if len(x) > SUBSAMPLE:
        subset = x[torch.randperm(len(x), generator=generator, device=x.device)[:SUBSAMPLE]]
    centres = subset[plus_plus(subset, k, generator)]
    before = None
    for _ in range(max_iter):
        labels = nearest(subset, centres)
        if before is not None and torch.equal(labels, before):
            break
        before = labels
        members = torch.nn.functional.one_hot(labels, k).to(x.dtype)
        counts = members.sum(0).unsqueeze(1)
        centres = torch.where(counts > 0, members.T @ subset / counts.clamp_min(1), centres)
    return nearest(x, centres)
