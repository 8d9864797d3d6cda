"""The parts of compare_with_papermill.py: the peers' environment, their runs, odd notebooks, and what differs."""
