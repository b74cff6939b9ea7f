"""One fold, or one shuffle of the labels, of a cross-validated SVM. Runs on executors; numpy and scikit-learn only."""

from __future__ import annotations

from typing import Literal

Gamma = Literal["scale", "auto"] | float
