"""Networks: torch modules that know shapes and nothing of files, datasets or training."""
