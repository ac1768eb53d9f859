"""The receiving end's sockets, files and screen."""
