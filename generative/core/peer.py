"""scikit-learn's exceptions where it is installed, which nothing here needs, and their built-in bases where not."""

from __future__ import annotations


def not_fitted(message: str) -> ValueError:
    """scikit-learn's NotFittedError, a ValueError."""
    try:
        from sklearn.exceptions import NotFittedError  # slow to import
    except ImportError:
        return ValueError(message)
    return NotFittedError(message)


def convergence_warning() -> type[UserWarning]:
    """scikit-learn's ConvergenceWarning, a UserWarning."""
    try:
        from sklearn.exceptions import ConvergenceWarning
    except ImportError:
        return UserWarning
    return ConvergenceWarning
