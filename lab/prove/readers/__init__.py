"""What rilievo writes for other programs, opened by their oldest and their newest release."""
