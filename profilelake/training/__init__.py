"""What trainings share: cross-validation with permutation tests, tracking, splits by user, the gate for champions, and
the rows that evaluations are written as."""
