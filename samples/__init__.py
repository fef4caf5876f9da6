"""Plugins to read, run and take apart."""
