"""The HTML report: what a run found, on one page that needs nothing else."""
