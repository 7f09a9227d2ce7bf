"""Group and owners of every asset."""

# One group: the UI folds several of them away, and the graph is what people come to see.
GROUP = "wine_quality"
OWNERS = ["team:ml-platform"]
