"""Numbers that are claims, from scripts that anyone can rerun."""
