import math
from itertools import pairwise

import pytest
import torch

import generative as g
from gail_suite.commands.cli import main
from generative.data import text


def test_pieces_are_the_text(tmp_path):
    (tmp_path / "book.txt").write_text("abcd " * 300)
    s = g.data.load(tmp_path / "book.txt")
    assert s.alphabet == " abcd" and s.x_train.shape == (19, 1, 1, 64) and len(s.x_test) == len(s.x_val) == 2
    assert "".join(text.as_text(torch.cat([s.x_train, s.x_val, s.x_test]), s.alphabet)) == ("abcd " * 300)[: 23 * 64]


def test_rare_characters_share_a_symbol():
    line = "".join(chr(0x400 + k) * (200 - k) for k in range(100))
    alphabet = text.alphabet_of(line)
    assert len(alphabet) == 64 and alphabet[-1] == text.REST and alphabet[0] == chr(0x400)
    assert text.as_text(text.pieces(chr(0x400) + chr(0x463), alphabet, 2), alphabet) == [chr(0x400) + text.REST]


def test_ngrams_by_hand():
    """Context-free after 3 a's and 1 b: p(a) = (3 + 2/2) / (4 + 2) = 2/3, p(b) = (1 + 1) / 6 = 1/3."""
    train, test = text.pieces("aaab", "ab", 4), text.pieces("ab", "ab", 2)
    expected = -(math.log2(2 / 3) + math.log2(1 / 3)) / 2
    assert text.ngram_bits(train, test, 2, 1) == pytest.approx(expected)
    periodic = text.pieces("ab" * 400, "ab", 8)
    assert text.ngram_bits(periodic, periodic, 2, 2) < 0.15 < text.ngram_bits(periodic, periodic, 2, 1)


@pytest.mark.parametrize("model", [g.PixelCNN, lambda **k: g.PixelRNN(kind="diagonal", hidden=16, **k)])
def test_a_period_of_five_is_learned(tmp_path, model):
    (tmp_path / "book.txt").write_text("abcde" * 400)
    s = g.data.load(tmp_path / "book.txt")
    fitted = model(features=16, layers=1, symbols=True, lr=2e-2).fit(s.x_train, steps=40, val=s.x_val, progress=False)
    bits = g.metrics.bits_per_dim(g.metrics.nats(fitted, s.x_test), 64)
    assert bits < 0.5  # log2(5) / 64 = 0.04 is left of the first character
    drawn = text.as_text(fitted.sample(1, seed=0), s.alphabet)[0]
    assert sum(b == chr((ord(a) - 96) % 5 + 97) for a, b in pairwise(drawn)) > 40  # by chance 13


def test_files_that_are_no_text_are_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"ab\xff")
    (tmp_path / "b.txt").write_text(" ")
    for name, message in (("a", r"a.txt is not UTF-8 text \(byte 2\)"), ("b", "b.txt holds no text")):
        with pytest.raises(ValueError, match=message):
            g.data.load(tmp_path / f"{name}.txt")


def test_one_character_is_no_alphabet(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 1000)
    with pytest.raises(ValueError, match="one character, 'a', again and again"):
        g.data.load(tmp_path / "a.txt")


def test_a_character_that_only_the_test_part_has_is_counted(tmp_path):
    (tmp_path / "b.TXT").write_text("aceg" * 16 * 24 + "abcdefg" * 9 + "a")
    s = g.data.load(tmp_path / "b.TXT")
    model = g.PixelRNN(kind="diagonal", symbols=True, features=4, hidden=4, layers=1, levels=len(s.alphabet))
    assert torch.isfinite(model.fit(s.x_train, steps=2, progress=False).log_prob(s.x_test)).all()
    sizes = "--set symbols=true --set features=4 --set layers=1 --set hidden=4 --set kind=diagonal --steps 1"
    assert (
        main(["gen", "fit", "PixelRNN", str(tmp_path / "b.TXT"), "--out", str(tmp_path / "m.st"), *sizes.split()]) == 0
    )
    assert g.load(tmp_path / "m.st").spec["levels"] == len(s.alphabet)
    few = g.PixelRNN(kind="diagonal", symbols=True, features=4, hidden=4, layers=1)
    with pytest.raises(ValueError, match=r"of a text with levels=len\(splits.alphabet\)"):
        few.fit(s.x_train, steps=2, progress=False).log_prob(s.x_test)
