"""Carries a plan out: splices, writing, verification, and the replacement of the package."""
