"""Certificates: which are wanted, how they are got and renewed, where they are kept."""
