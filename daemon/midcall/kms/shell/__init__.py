"""The KMS's doors and its store."""
