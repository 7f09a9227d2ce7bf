"""Asset checks of any model: its training data and its live predictions against the training of the
champion or the version that is served. The red wines and model graphs share them.
"""
