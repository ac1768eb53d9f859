"""What DF2 does in the world: it asks the KMS."""
