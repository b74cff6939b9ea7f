"""Paper 2: interests in 34 domains, from what is in a user's pictures and from the tags."""
