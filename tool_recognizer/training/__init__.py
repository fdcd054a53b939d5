"""Photographs and journals to a fitted model file; it runs nothing live."""
