NAME = "the module beside"
