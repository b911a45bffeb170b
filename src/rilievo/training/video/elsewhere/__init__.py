"""Other places, of which a run on one place must not forget."""
