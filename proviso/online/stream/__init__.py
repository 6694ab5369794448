"""The streaming source: messages, landing, and the follower that publishes their rows."""
