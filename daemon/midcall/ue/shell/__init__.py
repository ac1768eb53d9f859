"""What a simulated user agent does over the network."""
