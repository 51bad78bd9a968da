"""Parts of `run_tracker`: what is kept of a run, how it ended, and who and which step are at fault."""
