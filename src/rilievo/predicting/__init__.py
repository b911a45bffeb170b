"""``rilievo predict``: from what the user named to files."""
