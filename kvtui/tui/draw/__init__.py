"""What the screen shows: pure functions of state and room."""
