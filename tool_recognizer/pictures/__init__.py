"""Decode, encode, annotate and draw pictures; it judges none of them."""
