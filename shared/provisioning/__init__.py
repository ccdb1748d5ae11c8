"""The heart: account rows, the plan for one account, and the durable steps that carry it out."""
