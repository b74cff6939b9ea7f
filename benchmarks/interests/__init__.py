"""`make bench-interests`: from labels and tags to ranked domains of interest (paper 2)."""
