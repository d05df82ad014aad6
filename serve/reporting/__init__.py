"""What is handed to people who were not there: a case or a period, in words and pictures, with how to check it."""
