"""Recognise tools in camera frames and watch the likelihood of the answers."""

__version__ = '0.2.0'
