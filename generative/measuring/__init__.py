"""Numbers that say how good a model or its samples are, and the recipes on MNIST."""
