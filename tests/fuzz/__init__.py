"""Foreign bytes, changed at random: what parses them refuses them in words or reads them as others do."""
