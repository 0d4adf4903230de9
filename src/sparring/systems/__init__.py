"""The complete systems; none imports another."""
