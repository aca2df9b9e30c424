"""What llama.cpp makes of a header."""
