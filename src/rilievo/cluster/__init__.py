"""Work elsewhere: Ray clusters, object stores."""
