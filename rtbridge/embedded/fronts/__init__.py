"""How clients of the embedded server come in: one port, and behind it a file for each way to be connected."""
