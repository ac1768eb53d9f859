"""What the audit does with files and sockets."""
