"""One wide row a user: what every other room found out."""
