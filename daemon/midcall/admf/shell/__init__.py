"""The ADMF and the world: store, doors, links to elements."""
