"""The energies of Jin et al. (2021): pure functions of one unknown, one file an equation.

Equation                                     Function                                             File
1  face model                                morphable.linear.face_shape                          morphable/linear.py
2  Laplace coordinates                       geometry.laplacian.laplace_coordinates               geometry/laplacian.py
3  Laplace deformation                       energies.laplacian.laplacian_energy                  energies/laplacian.py
4  image model                               rendering.image_model.render                         rendering/image_model.py
5  shading by spherical harmonics            rendering.lighting.shading                           rendering/lighting.py
6  albedo                                    energies.albedo.albedo_energy                        energies/albedo.py
7  relative total variation                  imaging.rtv.relative_total_variation                 imaging/rtv.py
8  specular                                  energies.specular.specular_energy                    energies/specular.py
9  depth                                     energies.depth.depth_energy                          energies/depth.py
"""
