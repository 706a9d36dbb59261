"""Tools for whoever works on the product; none of them is part of it."""
