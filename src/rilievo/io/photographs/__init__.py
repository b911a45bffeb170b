"""Photographs: decoding, orientation, metadata and colours."""
