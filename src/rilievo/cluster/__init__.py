"""Work on Ray clusters, and on files in object stores."""
