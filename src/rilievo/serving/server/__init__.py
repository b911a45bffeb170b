"""``rilievo serve``: depth, normals, surfaces and measurements over HTTP."""
