"""Notebooks over the marts, read-only: what it cost, and who did what."""
