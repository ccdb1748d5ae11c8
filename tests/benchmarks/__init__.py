"""What the product costs on this machine: `./dev bench`. One module measures one thing and says how.

Nothing here asserts on a clock: a benchmark prints what it saw, beside what it is compared with in the same run.
"""
