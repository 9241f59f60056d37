"""The places where packages live: build prefixes, installed environments, local channels and package caches."""
