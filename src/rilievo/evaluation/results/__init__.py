"""Results of an evaluation: its records, its folder and summaries with intervals."""
