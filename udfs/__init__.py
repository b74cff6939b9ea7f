"""What runs on executors. Imports nothing of ours, so that a worker loads only what it needs."""

# How `profilelake.cli` tells our package from another one of the same common name.
OWNER = "profilelake"
