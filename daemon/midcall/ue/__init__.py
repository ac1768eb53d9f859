"""UE simulators: real Ticket Request, Transfer and Resolve, real SRTP, two tunes; for demo, labs and tests."""
