"""``rilievo predict``: from photographs and videos to files."""
