"""What everything stands on: findings, sizes, text for a terminal, files."""
