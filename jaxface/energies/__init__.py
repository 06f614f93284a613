"""The energies of Jin et al. (2021): pure functions of one unknown, one file an equation.

Eq. 3  Laplace deformation   laplacian.py
Eq. 6  albedo                albedo.py
Eq. 8  specular              specular.py
Eq. 9  depth                 depth.py
"""
