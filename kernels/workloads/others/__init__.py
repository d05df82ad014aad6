"""Work that is neither mining nor learning and is easily taken for one of them, one file for each family."""
