"""I/O of the point of interception: where its cache is kept, and how copies of SIP reach it."""
