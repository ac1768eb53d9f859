"""What midcall doctor looks at. Nothing here reads what a service has stored: the output never depends on it."""
