"""What `fanin explain` shows beside the text of a topic: a figure that theory or a small simulation draws, and the user's own numbers."""
