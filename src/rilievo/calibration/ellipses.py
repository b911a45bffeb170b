"""Ellipses in the picture: through points that a user clicks, and as the cone of rays of a circle.

The ellipse through points is the direct least-squares fit of Halir and Flusser (WSCG 1998). A
circle is seen along a cone of rays. The eigenvalues of the cone give the distance of the circle's
plane, and its slant up to the side to which it leans (Safaee-Rad et al., IEEE Transactions on
Robotics and Automation 1992).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Vector
from rilievo.geometry.cameras.camera import Camera

_RIM_SAMPLES = 64
"""Number of points of an ellipse whose rays determine its cone."""
_AXIS_RATIO = 1e-9
"""Least ratio of the short to the long axis, below which the fit is a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipse:
    """Ellipse in a picture.

    Attributes:
        u: Column of its centre [px].
        v: Row of its centre [px].
        long_axis: Length of the long axis, from rim to rim [px].
        short_axis: Length of the short axis, from rim to rim [px].
        angle: Direction of the long axis, from the columns towards the rows [degrees], from -90 to
            90.
    """

    u: float
    v: float
    long_axis: float
    short_axis: float
    angle: float

    def rim(self, count: int = _RIM_SAMPLES, scale: float = 1.0) -> Float64[np.ndarray, "2 n"]:
        """Points all around the rim [px], or of an ellipse that is ``scale`` times as large."""
        t = np.linspace(0, 2 * np.pi, count, endpoint=False)
        along = scale * self.long_axis / 2 * np.cos(t)
        across = scale * self.short_axis / 2 * np.sin(t)
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return np.stack(
            [self.u + along * cosine - across * sine, self.v + along * sine + across * cosine]
        )

    def rim_distances(self, points: Sequence[tuple[float, float]]) -> Float64[np.ndarray, "n"]:
        """Distances of points (u, v) from the rim [px], exact only for points near it.

        P. D. Sampson, "Fitting conic sections to very scattered data", 1982: how far the equation
        of the ellipse is from 0 at a point, over how fast it changes there.
        """
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        u, v = np.array(points, np.float64).T - [[self.u], [self.v]]
        x = (u * cosine + v * sine) / (self.long_axis / 2)
        y = (v * cosine - u * sine) / (self.short_axis / 2)
        gradient = 2 * np.hypot(x / (self.long_axis / 2), y / (self.short_axis / 2))
        return np.abs(x * x + y * y - 1) / np.maximum(gradient, 1e-12)


def ordered_ellipse(u: float, v: float, width: float, height: float, angle: float) -> Ellipse:
    """Ellipse by both axes in any order; ``angle`` is that of ``width`` [degrees]."""
    if width < height:
        width, height, angle = height, width, angle + 90
    return Ellipse(u=u, v=v, long_axis=width, short_axis=height, angle=(angle + 90) % 180 - 90)


def ellipse_through(points: Sequence[tuple[float, float]]) -> Ellipse | None:
    """Fit an ellipse to five or more points (u, v); None if they lie on none, as on a line.

    The conic a x² + b x y + c y² + d x + e y + f = 0 is an ellipse if 4 a c - b² > 0, which the fit
    sets to 1. With q = (a, b, c) and l = (d, e, f), and Q and L the rows (x², x y, y²) and
    (x, y, 1) of all points, it minimises |Q q + L l|² (Halir and Flusser):

    - for any q, the best l is T q, with T = -(LᵀL)⁻¹ LᵀQ
    - then q is an eigenvector of C⁻¹ (QᵀQ + QᵀL T), with the constraint qᵀ C q = 4 a c - b² = 1
    """
    positions = np.array(points, np.float64)
    centre = positions.mean(axis=0)
    scale = float(np.abs(positions - centre).max())
    if not scale > 0:
        return None
    x, y = ((positions - centre) / scale).T
    quadratic = np.stack([x * x, x * y, y * y], axis=1)
    linear = np.stack([x, y, np.ones_like(x)], axis=1)
    linear_products = linear.T @ linear
    if np.linalg.cond(linear_products) > 1 / np.finfo(np.float64).eps:
        return None
    to_linear = -np.linalg.solve(linear_products, linear.T @ quadratic)
    reduced_products = quadratic.T @ quadratic + (quadratic.T @ linear) @ to_linear
    inverse_constraint = np.array([[0, 0, 0.5], [0, -1, 0], [0.5, 0, 0]])
    _, eigenvectors = np.linalg.eig(inverse_constraint @ reduced_products)
    for a, b, c in np.real(eigenvectors).T:
        is_ellipse = 4 * a * c - b**2 > 0
        if is_ellipse:
            d, e, f = to_linear @ (a, b, c)
            return _ellipse_of_conic(np.array([a, b, c, d, e, f]), centre, scale)
    return None


def _ellipse_of_conic(
    conic: Float64[np.ndarray, "6"], centre: Float64[np.ndarray, "2"], scale: float
) -> Ellipse | None:
    """Ellipse of a conic (a, b, c, d, e, f) whose coordinates are (pixel - centre) / scale.

    About its middle m, the conic is (p - m)ᵀ F (p - m) = level, with F = [[a, b/2], [b/2, c]]. The
    eigenvectors of F are the axes, with half lengths √(level / eigenvalue). Return None if it is no
    ellipse, or one that is almost a line.
    """
    a, b, c, d, e, f = conic * np.sign(conic[0])
    F = np.array([[a, b / 2], [b / 2, c]])
    middle = np.linalg.solve(F, (-d / 2, -e / 2))
    level = float(middle @ F @ middle) - f
    eigenvalues, directions = np.linalg.eigh(F)  # in ascending order, so the long axis is first
    if not (level > 0 and eigenvalues[0] > 0):
        return None

    half_long, half_short = np.sqrt(level / eigenvalues) * scale
    if not half_short > _AXIS_RATIO * half_long:
        return None
    u, v = centre + scale * middle
    along_u, along_v = directions[:, 0]
    angle = math.degrees(math.atan2(along_v, along_u))
    return ordered_ellipse(float(u), float(v), 2 * float(half_long), 2 * float(half_short), angle)


@dataclass(frozen=True, slots=True, kw_only=True)
class CirclePosition:
    """Position of a circle of known diameter that a camera sees as an ellipse.

    Attributes:
        middle: Point on the axis of the cone of rays, in the plane of the circle [m]. It is the
            same for both planes that the ellipse allows, and close to the circle's own middle.
        slant: Angle of the circle's plane from one that faces the camera [degrees], 0 to 90.
    """

    middle: Vector
    slant: float


def circle_position(ellipse: Ellipse, diameter: float, camera: Camera) -> CirclePosition | None:
    """Find a circle of a known diameter [m]; None if the lens does not see its whole rim.

    Two planes cut the cone of rays in circles of this diameter (Safaee-Rad et al.). They lean to
    opposite sides by the same slant, and meet the axis of the cone at the same point, so both give
    the same ``CirclePosition``.

    Along its own axes, the cone is λ₁ x² + λ₂ y² + λ₃ z² = 0 with λ₁ ≥ λ₂ > 0 > λ₃, and z is its
    axis. The planes are ± sin(slant) x + cos(slant) z = d, with

    - cos²(slant) = (λ₂ - λ₃) / (λ₁ - λ₃), for which x and y have the same coefficient λ₂ in the
      plane, so that the section is a circle
    - d = radius λ₂ / √(-λ₁ λ₃), the distance of the plane from the camera

    At x = y = 0, both planes have z = d / cos(slant).
    """
    rays = camera.rays(ellipse.rim())
    rays = rays / np.linalg.norm(rays, axis=0)
    centre = camera.rays(np.array([ellipse.u, ellipse.v], np.float64))
    # A circle spans less than 90 degrees to each side; the comparison is false for NaN.
    if not (centre @ rays > 0).all():
        return None
    cone = _fit_cone(rays)
    if cone is None:
        return None
    # In ascending order: λ₃ along the axis of the cone, then λ₂ and λ₁ across it.
    (lambda_3, lambda_2, lambda_1), vectors = np.linalg.eigh(cone)
    if not (lambda_3 < 0 < lambda_2):
        return None

    plane_distance = diameter / 2 * lambda_2 / math.sqrt(-lambda_1 * lambda_3)
    cos_slant = math.sqrt((lambda_2 - lambda_3) / (lambda_1 - lambda_3))
    axis = vectors[:, 0]
    axis_to_circle = axis * np.sign(axis @ rays.mean(axis=1))
    return CirclePosition(
        middle=axis_to_circle * plane_distance / cos_slant,
        slant=math.degrees(math.acos(min(1.0, cos_slant))),
    )


def _fit_cone(rays: Float64[np.ndarray, "3 n"]) -> Matrix | None:
    """Fit x' Q x = 0 to unit rays, with a negative value along their mean; None if it is none."""
    x, y, z = rays
    products = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    _, _, directions = np.linalg.svd(products)
    xx, yy, zz, xy, xz, yz = directions[-1]
    cone = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    mean = rays.mean(axis=1)
    inside = float(mean @ cone @ mean)
    return None if inside == 0 else -cone * np.sign(inside)
