"""Photographs: decoding, metadata and colours."""
