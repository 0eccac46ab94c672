"""The embedded server against the real one: the same raw HTTP calls, the same answers.

`calls.py` draws scripts of calls, `pair.py` sends them to two servers side by side, `answers.py`
says what of the answers counts, `excluded.py` names what the real server does not survive.
"""
