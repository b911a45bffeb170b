"""Work on other machines than this one: Ray clusters, object stores."""
