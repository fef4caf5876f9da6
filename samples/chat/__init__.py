"""A chat in the browser: rooms, who is online, history, typing, sessions that expire, reconnects that lose nothing."""
