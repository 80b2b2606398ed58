"""A module as something else."""
