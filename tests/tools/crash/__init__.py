"""Parts of crash_rounds.py."""
