"""Text as data: characters are symbols, a piece of text is an image one pixel high, which PixelCNN and PixelRNN
model.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from gail_suite.generative.core.values import MAX_LEVELS

REST = "\N{REPLACEMENT CHARACTER}"
"""Stands for all characters that are too rare for the alphabet."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; ValueError for other bytes and for nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}): convert it first") from None
    if not text.strip():
        raise ValueError(f"{path} holds no text")
    return text


def alphabet_of(text: str) -> str:
    """The characters of ``text``, sorted; of more than 64 the 63 most frequent, and one for the rest."""
    counts = Counter(text)
    if len(counts) <= MAX_LEVELS:
        return "".join(sorted(counts))
    return "".join(sorted(c for c, _ in counts.most_common(MAX_LEVELS - 1))) + REST


def pieces(text: str, alphabet: str, length: int) -> Tensor:
    """Consecutive pieces of ``text`` as images (N, 1, 1, length), the k-th of K characters as k / (K - 1); the tail
    is dropped.
    """
    if len(text) < length:
        raise ValueError(f"the text has {len(text)} characters, fewer than one piece of {length}")
    place = {c: k for k, c in enumerate(alphabet)}
    rest = place.get(REST, 0)
    indices = torch.tensor([place.get(c, rest) for c in text])
    whole = indices[: len(indices) // length * length].view(-1, 1, 1, length)
    if len(alphabet) < 2:
        raise ValueError(f"the text holds one character, {alphabet!r}, again and again: there is nothing to learn")
    return whole / (len(alphabet) - 1)


def as_text(x: Tensor, alphabet: str) -> list[str]:
    """The pieces (N, 1, 1, length) as strings."""
    indices = (x.detach().cpu().flatten(1) * (len(alphabet) - 1)).round().long()
    return ["".join(alphabet[k] for k in row) for row in indices.tolist()]


def ngram_bits(train: Tensor, test: Tensor, levels: int, order: int) -> float:
    """Bits per character of ``test`` pieces under a Witten-Bell smoothed n-gram model of the ``train`` pieces, the
    baseline.

    p_n(c | h) = (count(h c) + T(h) p_{n-1}(c | h')) / (count(h) + T(h)), T(h) the number of different characters seen
    after h, h' without its first character, p_0 uniform (Witten and Bell 1991). ``order`` 1 is context-free. As a model
    of pieces does, it knows nothing before a piece.
    """
    lines, asked = ((x.flatten(1) * (levels - 1)).round().long().tolist() for x in (train, test))
    followers: dict[tuple[int, ...], Counter[int]] = {}
    for line in lines:
        for i, c in enumerate(line):
            for n in range(min(order - 1, i) + 1):
                followers.setdefault(tuple(line[i - n : i]), Counter())[c] += 1
    totals = {history: counts.total() for history, counts in followers.items()}
    nats = 0.0
    for line in asked:
        for i, c in enumerate(line):
            p = 1.0 / levels
            for n in range(min(order - 1, i) + 1):
                history = tuple(line[i - n : i])
                if history not in followers:
                    break
                seen = followers[history]
                p = (seen[c] + len(seen) * p) / (totals[history] + len(seen))
            nats -= math.log(p)
    return nats / (sum(map(len, asked)) * math.log(2))
