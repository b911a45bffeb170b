"""The version of rilievo, from which the package's metadata is made."""

VERSION = "0.1.0"
