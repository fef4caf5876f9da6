"""What each command of a client does; every function gets the session and raises what the client is to be told."""
