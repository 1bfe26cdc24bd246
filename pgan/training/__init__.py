"""Training: the schedule, the compiled steps, and the loop that runs, saves and resumes a run."""
