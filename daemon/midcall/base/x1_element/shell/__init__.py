"""The world around an element's end of X1: the door, the store, reports, and the client that drives one."""
