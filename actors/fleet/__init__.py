"""Memories on many hosts: who has which, how they are called, and what holds when hosts die.

Everything here but ``ray_shells`` and ``cluster`` is plain: it knows no Ray, starts no thread and takes time from a
port, so that the same classes run over Ray, in one process, and in a simulation.
"""
