"""Every page of HTML: one template engine, one style sheet, one script, one way to draw pictures."""
