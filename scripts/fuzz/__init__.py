"""Fuzzing of every parser: targets, and the runner (python -m scripts.fuzz.run)."""
