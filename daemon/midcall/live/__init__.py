"""The live system: shells that join the entities' cores with their links, as the replay does with a capture."""
