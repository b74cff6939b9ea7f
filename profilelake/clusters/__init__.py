"""Categories of pictures (paper 1, 4.1): k-means, the choice of k, names, review and judges."""

from profilelake.clusters.kmeans import Fit, fit

__all__ = ["Fit", "fit"]
