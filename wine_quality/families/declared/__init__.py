"""The families of the package, one module each, found by the module's name."""
