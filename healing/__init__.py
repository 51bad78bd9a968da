"""Decides what is safe to mend, mends it with guard policies, and asks a person about the rest."""
