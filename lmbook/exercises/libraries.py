"""PyTorch and NumPy where they are installed, and their types as `isinstance` takes them.

Python in the page has neither, and there no value is of their types.
"""

try:
    import numpy as np
    import torch
except ModuleNotFoundError:
    np = torch = None

TENSOR = torch.Tensor if torch else ()
ARRAY, SCALAR = (np.ndarray, np.generic) if np else ((), ())
TRUTH, WHOLE, FLOATING = (np.bool_, np.integer, np.floating) if np else ((), (), ())
