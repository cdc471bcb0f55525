"""``voxrtc bench turns``: how a conversation's turns are taken, measured in virtual time, without network or models.

The product's own session and detector run; behind them stands a script in place of the models (``standin``).
"""
