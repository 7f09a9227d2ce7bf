"""Every ``WINE_QUALITY_…`` variable of the environment, a module per subject, from which the
reference page is made; imports the standard library only.

A watched place and notices have pydantic classes of their own, by whose fields their variables are
named.
"""
