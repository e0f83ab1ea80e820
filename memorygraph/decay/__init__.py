"""How memories fade, and when to review them."""
