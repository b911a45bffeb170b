"""``rilievo predict``: from the user's photographs and videos to files."""
