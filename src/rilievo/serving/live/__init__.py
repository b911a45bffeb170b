"""Page of ``rilievo predict --live``."""
