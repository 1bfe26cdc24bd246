"""Training: the schedule, the compiled steps, and the loop that carries them out, checks, saves and
resumes.
"""
