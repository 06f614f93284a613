"""The energies of Jin et al. (2021): pure functions of one unknown, one file an equation.

Equation                            Function                    File
1  face model                       face_shape                  morphable/linear.py
2  Laplace coordinates              laplace_coordinates         geometry/laplacian.py
3  Laplace deformation              laplacian_energy            energies/laplacian.py
4  image model                      render                      rendering/image_model.py
5  shading by spherical harmonics   shading                     rendering/lighting.py
6  albedo                           albedo_energy               energies/albedo.py
7  relative total variation         relative_total_variation    imaging/rtv.py
8  specular                         specular_energy             energies/specular.py
9  depth                            depth_energy                energies/depth.py
   the same, a network leading      slope_energy                energies/slopes.py
"""
