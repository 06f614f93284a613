"""The smoothest trajectory that the frames' estimates allow: a linear smoother in square-root information form
(Bierman 1977, Factorization Methods for Discrete Sequential Estimation), one small QR a frame.

The state is a velocity v_t = x_t - x_{t-1} and a place x_t. What frames up to t say of it is kept as the rows of a
triangular system, never as normal equations: those lose half of float32's digits.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxface.numerics import matmul

# In units where the mean information of an unknown is 1; square roots, as rows are.
_LOOSEST = 1e-3  # least smoothness: keeps bridges definite, and is far below what estimates weigh
_REST = 1e-3  # of the smoothness: a pull to rest that only a velocity no frame tells of can feel
_STAY = 1e-6  # the same for places
_KNOWN = 1e-6  # eigenvalues of A_t below this share of its largest are float32's noise


def smooth_trajectory(
    estimates: Float[Array, "frames unknowns"],
    information: Float[Array, "frames unknowns unknowns"],
    *,
    stiffness: Float[Array, "unknowns"],
    strength: Float[Array, ""] | float,
    quick: Float[Array, ""] | float = float("inf"),
    num_rounds: int = 1,
) -> Float[Array, "frames unknowns"]:
    """The x that minimises sum_t (x_t - e_t)^T A_t (x_t - e_t) / 2 + s sum_t rho(D (x_{t-1} - 2 x_t + x_{t+1})).

    rho(a) = q^2 log(1 + a^2 / q^2) / 2 for each unknown, with q = `quick`; infinite, it is a^2 / 2 and one round is
    exact. Else each round minimises a parabola that touches rho where the round before ended (Hunter and Lange 2004, A
    Tutorial on MM Algorithms), so that the cost never rises; the first takes a^2 / 2.

    `information` A_t is positive semidefinite; frames where it is 0 are bridged (their estimates may be anything), and
    those before the first or after the last with data hold the nearest one's value. `stiffness` is the diagonal of D.
    s D^2 counts as at least 1e-6 of an unknown's mean information; with s = 0, x_t = e_t wherever A_t is regular, and
    bridges are those of the limit. What no frame says anything of stays at the first estimate. Cost grows with frames.
    """
    seen = jnp.any(information != 0.0, axis=(1, 2))
    first, last = jnp.argmax(seen), seen.shape[0] - 1 - jnp.argmax(seen[::-1])
    scale = jnp.sqrt(_mean_diagonal(information, seen))  # x times scale has a usual error of 1
    origin = estimates[first][None]
    offsets = jnp.where(seen[:, None], (estimates - origin) * scale[None], 0.0)
    roots, regular = _square_roots(information / (scale[:, None] * scale[None])[None])
    targets = jnp.einsum("tkl,tl->tk", roots, offsets, precision=jax.lax.Precision.HIGHEST)

    def turn(shares, _):
        smoothness = jnp.sqrt(strength * shares) * (jnp.abs(stiffness) / scale)[None]
        path = _smooth(roots, targets, jnp.maximum(smoothness, _LOOSEST)) / scale[None]
        bends = (path[:-2] - 2.0 * path[1:-1] + path[2:]) * stiffness[None] / quick
        return jnp.ones_like(shares).at[1:-1].set(1.0 / (1.0 + bends**2)), path

    _, paths = jax.lax.scan(turn, jnp.ones_like(offsets), length=num_rounds)
    path = jnp.where((regular & (strength == 0.0))[:, None], estimates, origin + paths[-1])
    return path[jnp.clip(jnp.arange(seen.shape[0]), first, last)]


def _smooth(
    roots: Float[Array, "frames unknowns unknowns"],
    targets: Float[Array, "frames unknowns"],
    smoothness: Float[Array, "frames unknowns"],
) -> Float[Array, "frames unknowns"]:
    """Minimises sum_t |S_t x_t - b_t|^2 + |Q_{t-1} w_t|^2, w_t = x_t - 2 x_{t-1} + x_{t-2}; x_{-1} and x_{-2} are free.

    Forward, each frame's QR tells w_t as a function of the state at t and passes on what is known of that state;
    backward, the states follow from the last one.
    """
    num = smoothness.shape[1]

    def forward(rows, frame):
        root, target, stiff = frame  # noise comes second: reflections spare small rows only below large ones
        upper = _triangle(jnp.concatenate([_moved(rows), _noise_rows(stiff), _data_rows(root, target)]))
        return upper[num : 3 * num, num:], upper[:num]

    def backward(state, jump_rows):
        velocity, place = state[:num], state[num:]
        known = jump_rows[:, -1] - matmul(jump_rows[:, num:-1], state)
        jump = jax.scipy.linalg.solve_triangular(jump_rows[:, :num], known)
        return jnp.concatenate([velocity - jump, place - velocity]), place

    nothing = jnp.zeros((2 * num, 2 * num + 1), smoothness.dtype)
    rows, jumps = jax.lax.scan(forward, nothing, (roots, targets, jnp.roll(smoothness, 1, axis=0)))
    return jax.lax.scan(backward, _last_state(rows, smoothness[-1]), jumps, reverse=True)[1]


def _noise_rows(smoothness: Float[Array, "unknowns"]) -> Float[Array, "unknowns columns"]:
    """Q w = 0; the columns are w, v, x and the right-hand side."""
    num = smoothness.shape[0]
    return jnp.concatenate([jnp.diag(smoothness), jnp.zeros((num, 2 * num + 1), smoothness.dtype)], axis=1)


def _moved(rows: Float[Array, "states states+1"]) -> Float[Array, "states columns"]:
    """Rows on the last frame's state as rows on w and this frame's: v' = v - w, x' = x - v."""
    num = rows.shape[0] // 2
    velocity, place, known = rows[:, :num], rows[:, num:-1], rows[:, -1:]
    return jnp.concatenate([-velocity, velocity - place, place, known], axis=1)


def _data_rows(
    root: Float[Array, "unknowns unknowns"], target: Float[Array, "unknowns"]
) -> Float[Array, "unknowns columns"]:
    """S x = b."""
    return jnp.concatenate([jnp.zeros_like(root), jnp.zeros_like(root), root, target[:, None]], axis=1)


def _last_state(rows: Float[Array, "states states+1"], smoothness: Float[Array, "unknowns"]) -> Float[Array, "states"]:
    """The state that its rows ask for; what they leave open is at rest, at the origin."""
    hints = jnp.concatenate([_REST * jnp.minimum(smoothness, 1.0), jnp.full_like(smoothness, _STAY)])
    hint_rows = jnp.concatenate([jnp.diag(hints), jnp.zeros_like(hints)[:, None]], axis=1)
    upper = _triangle(jnp.concatenate([rows, hint_rows]))
    return jax.scipy.linalg.solve_triangular(upper[:-1, :-1], upper[:-1, -1])


def _triangle(rows: Float[Array, "rows columns"]) -> Float[Array, "columns columns"]:
    """The triangular system with the same least-squares solution; its last row is what remains."""
    return jnp.linalg.qr(rows, mode="r")


def _square_roots(
    information: Float[Array, "frames unknowns unknowns"],
) -> tuple[Float[Array, "frames unknowns unknowns"], Bool[Array, "frames"]]:
    """S with S^T S = A for each frame, by eigenvectors since A may be singular; and whether it is not."""
    values, vectors = jnp.linalg.eigh(information)
    known = values > _KNOWN * values[:, -1:]
    roots = jnp.sqrt(jnp.where(known, values, 0.0))[:, :, None] * jnp.swapaxes(vectors, 1, 2)
    return roots, jnp.all(known, axis=1)


def _mean_diagonal(
    information: Float[Array, "frames unknowns unknowns"], seen: Bool[Array, "frames"]
) -> Float[Array, "unknowns"]:
    """Mean information of each unknown over the frames with data; 1 for unknowns without any."""
    total = jnp.sum(jnp.diagonal(information, axis1=1, axis2=2), axis=0)
    mean = total / jnp.maximum(jnp.sum(seen), 1)
    return jnp.where(mean > 0.0, mean, 1.0)
