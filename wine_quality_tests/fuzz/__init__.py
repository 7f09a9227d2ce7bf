"""Bad input at volume: what hypothesis makes up, and what must come of it.

Every target draws one input and holds what happens against one rule: it is refused by an error of
ours that a person can act on and nothing is kept of it, or it is accepted and is what it says.
"""
