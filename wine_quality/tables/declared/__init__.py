"""The data sets of the package, one module each, found by the module's name."""
