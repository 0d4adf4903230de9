"""Graph neural flows that stay stable under attack, with certificates."""
