"""Paper 1: what people post, how they post it, and how they post selfies."""
