"""The agent around the model: sound in and out, graphs, sessions, the server and the command line."""
