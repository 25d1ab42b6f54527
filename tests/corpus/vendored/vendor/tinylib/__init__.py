NAME = "a package of pure Python"
