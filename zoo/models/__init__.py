"""One file for each family of models; importing a file registers its builders."""
