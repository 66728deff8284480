"""Names of types that several modules use."""

import numpy as np
from torch import Tensor

ArrayLike = np.ndarray | Tensor
