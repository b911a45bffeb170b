"""Finding of models by the name or path that the user gives."""
