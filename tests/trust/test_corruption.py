"""Kinds 1 and 2: every file is read through one door, and every change of what we wrote is noticed."""

import pytest

from benchmarks.soak import corruption


def test_every_kind_of_file_is_among_the_samples_and_sound(written):
    assert len({sample.kind for sample in written}) == len(written) >= 19
    for sample in written:
        sample.read()  # a warning would be an error


@pytest.mark.parametrize("damage", [corruption.flips, corruption.cuts])
def test_damage_is_noticed(written, damage):
    for sample in written:
        assert [problem for problem in damage(sample, 12) if problem] == []
