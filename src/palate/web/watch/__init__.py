"""The page of `palate watch`: curves, samples and standing of runs, while they go on."""
