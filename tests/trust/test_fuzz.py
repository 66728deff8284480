"""Kind 1: whatever bytes a file holds, and whatever text an option has, there is a value or one ValueError."""

import contextlib
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.soak.corruption import replace
from demos.exchange.foreign import column_numbers
from envs.names import parts
from gail_suite.algorithms.bc import BCConfig
from gail_suite.runs.config import build

KINDS = 26
FEW = settings(
    derandomize=True, max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(FEW, max_examples=80)
EDITS = st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=60))
"""Where in a file, how many bytes go, and what comes in their place."""


def fails_in_one_line(read):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read()
        except ValueError as error:
            assert "\n" not in str(error)


def test_every_kind_of_file_is_fuzzed(written):
    assert len(written) == KINDS


@pytest.mark.parametrize("i", range(KINDS))
@FEW
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_files(written, i, edits):
    sample = written[i]
    sound = sample.file.read_bytes()
    data = bytearray(sound)
    for where, n, new in edits:
        at = int(where * len(data))
        data[at : at + n] = new
    replace(sample.file, bytes(data))
    try:
        fails_in_one_line(sample.read)
    finally:
        replace(sample.file, sound)


TEXTS = st.text(max_size=40) | st.text("abz-v05:()[]{}=,.\"' \n&*!|>-", max_size=40)


@pytest.mark.parametrize(
    "read",
    [
        parts,
        column_numbers,
        lambda text: build(BCConfig(), settings=[text]),
        lambda text: build(BCConfig(), settings=[f"hidden={text}"]),
    ],
    ids=["names of tasks", "--columns", "--set", "a value of --set"],
)
@MANY
@given(text=TEXTS)
def test_texts(read, text):
    with contextlib.suppress(ValueError):
        read(text)
