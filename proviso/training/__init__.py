"""Third station: labelled rows become a model, its baseline, and a release that states both."""
