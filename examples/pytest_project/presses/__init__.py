"""Archives the force curves of presses in ReductStore."""
