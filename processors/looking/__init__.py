"""Parts of the second look: the full model in a process of its own, what it is asked, and what its answer changes."""
