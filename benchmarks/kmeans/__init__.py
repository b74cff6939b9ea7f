"""`make bench-kmeans`: the clustering engine against what else one could cluster with."""
