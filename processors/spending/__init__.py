"""Prices, and what calls add up to."""
