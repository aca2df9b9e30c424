"""What runs beside a program as a file of its own, with the standard library alone."""
