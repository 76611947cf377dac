"""Training: what it is told, the one function that fits, and the directories that keep runs."""
