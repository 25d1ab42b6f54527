name = input("Which column? ")
