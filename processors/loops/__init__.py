"""Parts of `loop`: actions and what of them is volatile, rows of them, and the cycles and phrasings in rows."""
