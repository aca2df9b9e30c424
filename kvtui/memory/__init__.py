"""What each device will hold."""
