"""Training that knows no domain: optimisers, schedules, loops, and the laws of how they behave."""
