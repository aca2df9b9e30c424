"""What a person asks for, for any front end."""
