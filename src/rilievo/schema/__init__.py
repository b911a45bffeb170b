"""Declaration of options: one record's field is the option at every entry point."""
