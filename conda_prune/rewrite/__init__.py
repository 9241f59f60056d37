"""Carries out a plan: splices, writing, verification, and the replacement of the package."""
