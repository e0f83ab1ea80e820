"""``python -m memorygraph.demo``: a short guided tour on real input; what ``make demo`` runs.

``tour.py`` leads through it, ``questions.py`` knows what to ask of which repository, ``crash.py`` kills a writer
(``copier.py``, in a process of its own) and looks what is left, ``stage.py`` prints.
"""
