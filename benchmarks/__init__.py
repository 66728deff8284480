"""Programs that measure, one a claim; their results lie in results/ and are made into tables."""
