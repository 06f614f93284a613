"""All runners: their smoke run, and the index of their results; parts of run_all.py."""
