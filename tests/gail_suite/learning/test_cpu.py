import torch

from gail_suite.generative.core.backend import full_precision
from gail_suite.learning.cpu import cpu_settings


def test_trainings_that_overlap_leave_the_precision_as_it_was():
    knob = torch.backends.mkldnn.matmul
    before = knob.fp32_precision
    one, other = cpu_settings("bfloat16"), cpu_settings("bfloat16")
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert knob.fp32_precision == "bf16"  # the second goes on as it began
    with full_precision():
        assert knob.fp32_precision == "ieee"
    other.__exit__(None, None, None)
    assert knob.fp32_precision == before
