"""Languages, one object each: what their sandboxes start from and run, and what a build does for them."""
