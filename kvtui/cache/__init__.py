"""K/V cache types and the memory they take."""
