"""Attacks on graphs: edges, nodes, features, and poisoning."""
