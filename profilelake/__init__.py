"""One queryable profile per user from the pictures they post: the part that runs on the driver."""

__version__ = "0.2.0"
