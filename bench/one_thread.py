"""Imported before NumPy: BLAS then runs on one thread in this process, unless the environment says otherwise.

What runs beside a measurement does not decide it, and threads that wait for each other take no processor time.
"""

from __future__ import annotations

import os

from bench.sessions import BLAS_THREADS, BLAS_VARIABLES

for variable in BLAS_VARIABLES:
    os.environ.setdefault(variable, BLAS_THREADS)
