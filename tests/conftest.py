"""What holds for all tests."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = (
    ""  # models fitted with device="auto" are compared with numbers made on the processor
)
