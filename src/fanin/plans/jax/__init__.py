"""Plans for models of JAX: slots from the modules of Flax NNX, and plans put into them."""
