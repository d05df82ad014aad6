"""What was seen and done, so that nobody can change it afterwards without being found out."""
