"""Intrusion detection: layers that an adaptive attacker must beat together, and one that it cannot touch."""
