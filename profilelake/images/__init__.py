"""Embeddings, labels and faces of pictures: one pass over what is new."""
