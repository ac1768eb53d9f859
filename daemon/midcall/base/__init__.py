"""What several functional entities need."""
