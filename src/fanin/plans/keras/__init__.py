"""Plans for Keras 3 models: their slots, plans from rules, and plans put into them."""
