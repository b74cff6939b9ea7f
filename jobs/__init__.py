"""What is submitted: one file a stage or a tool, each `spark-submit jobs/<verb_noun>.py`."""

# How `profilelake.cli` tells our package from another one of the same common name.
OWNER = "profilelake"
