"""Ways to find memories beside recall: spreading activation."""
