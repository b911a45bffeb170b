"""A ROS 2 node: depth of a camera's images, with the camera's own intrinsics.

Usage: python3 ros2_depth_node.py --ros-args -r image:=/camera/image_rect \
    -r camera_info:=/camera/camera_info -p model:=moge-2/small

Subscribes to image (rgb8, bgr8 or mono8) and camera_info, publishes depth/image (32FC1; NaN where
there is none) and depth/camera_info with the stamp and frame of the image. The depth is in metres
with a model of metres, such as moge-2/small; else it has the model's own unknown scale, which
changes from image to image, and the node says so once.

Images have to be rectified, as image_proc does: distortion in camera_info is not read. The node
point_cloud_xyz of depth_image_proc takes both topics of depth and makes a PointCloud2 (not tried).

With a model of metres, the node also publishes scan (LaserScan) and grid (OccupancyGrid), for a
camera that looks straight ahead. Each range of the scan is the nearest obstacle in a band of rows
at the height of the camera, so the scan sees neither the floor nor lower obstacles. The grid is the
area before the camera: 0 is free, 100 is an obstacle, and -1 is hidden or beside the picture. Both
are in a frame with x forward, y to the left and z up (REP 103), whose name is that of the image
without "_optical" (REP 105), or the parameter scan_frame. A network's depth errs by tens of per
cent: do not let a robot rely on it alone.

Parameters: model; scan_rows, height of the band [px]; scan_frame; max_range [m], beyond which
ranges are inf (-inf is too near, NaN unknown); resolution, side of a grid's cell [m].
"""

import math
import sys

import numpy as np

import rilievo

try:
    import rclpy
    from nav_msgs.msg import OccupancyGrid
    from rclpy.node import Node
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image, LaserScan
    from std_msgs.msg import Header
except ModuleNotFoundError as error:
    sys.exit(
        f"this program needs ROS 2, but there is no Python package {error.name}: install ROS 2, "
        "run its setup in this shell (source /opt/ros/DISTRIBUTION/setup.bash), and use its Python"
    )

MIN_RANGE = 0.1
"""Least range of a scan [m]; nearer depth is taken for an error."""


def pixels_of(message: Image) -> np.ndarray:
    """RGB of an image message."""
    channels = {"rgb8": 3, "bgr8": 3, "mono8": 1}.get(message.encoding)
    if channels is None:
        raise ValueError(f"encoding {message.encoding}: expected rgb8, bgr8 or mono8")
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    if message.encoding == "bgr8":
        pixels = pixels[..., ::-1]
    return np.ascontiguousarray(np.broadcast_to(pixels, (message.height, message.width, 3)))


def message_of(prediction: rilievo.Prediction, image: Image) -> Image:
    """Depth as an image message."""
    depth = prediction.depth
    message = Image()
    message.header = image.header
    message.height, message.width = depth.shape
    message.encoding, message.is_bigendian = "32FC1", 0
    message.step = 4 * message.width
    message.data = np.where(depth.valid, depth.values, np.float32("nan")).astype("<f4").tobytes()
    return message


def scan_of(
    prediction: rilievo.Prediction, K: np.ndarray, rows: int, max_range: float, header: Header
) -> LaserScan:
    """Nearest obstacles in a band of rows around the height of the camera, as a laser sees them.

    Angles are counter-clockwise from above, so positive angles are to the left. Each beam is as
    wide as a pixel in the middle of the picture, where pixels are widest, so no beam is empty.

    As REP 117 says, a beam is inf if nothing is nearer than the largest range, -inf if something is
    too near, and NaN if its depth is unknown.
    """
    depth = prediction.depth
    height, width = depth.shape
    middle = min(max(round(K[1, 2]), 0), height - 1)
    band = slice(max(middle - rows // 2, 0), middle + (rows + 1) // 2)
    slopes = (np.arange(width) - K[0, 2]) / K[0, 0]  # to the right, for a depth of 1
    z = np.where(depth.valid[band], depth.values[band], np.inf)
    ranges = z.min(axis=0) * np.hypot(1, slopes)
    ranges[ranges > max_range] = np.inf
    ranges[ranges < MIN_RANGE] = -np.inf
    ranges[~depth.valid[band].any(axis=0)] = np.nan

    angles = -np.arctan(slopes)
    increment = 1 / float(K[0, 0])
    beam_of_column = np.rint((angles - angles.min()) / increment).astype(int)
    beams = np.full(beam_of_column.max() + 1, np.nan)
    np.fmin.at(beams, beam_of_column, ranges)  # A known range counts more than an unknown one.

    scan = LaserScan()
    scan.header = header
    scan.angle_min, scan.angle_increment = float(angles.min()), increment
    scan.angle_max = scan.angle_min + increment * (len(beams) - 1)
    scan.time_increment = 0.0  # The picture was taken at once.
    scan.range_min, scan.range_max = MIN_RANGE, max_range
    scan.ranges = beams.tolist()
    return scan


def grid_of(scan: LaserScan, resolution: float) -> OccupancyGrid:
    """What a scan knows about the ground before the camera, which stands at the left side's middle.

    Rows of the grid go to the left, along y, and columns go forward, along x.
    """
    columns = math.ceil(scan.range_max / resolution)
    rows = 2 * columns
    x = resolution * (np.arange(columns) + 0.5)
    y = resolution * (np.arange(rows) + 0.5 - columns)[:, None]
    beam = np.rint((np.arctan2(y, x) - scan.angle_min) / scan.angle_increment).astype(int)
    ranges = np.array(scan.ranges)
    is_seen = (beam >= 0) & (beam < len(ranges))
    reach = np.where(is_seen, ranges[np.clip(beam, 0, len(ranges) - 1)], 0)
    distance = np.hypot(x, y)
    is_free = distance < np.minimum(reach - resolution / 2, scan.range_max)
    cells = np.where(is_free, 0, -1).astype(np.int8)

    hits = np.isfinite(ranges)
    angles = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
    hit_column = np.floor(ranges[hits] * np.cos(angles[hits]) / resolution).astype(int)
    hit_row = np.floor(ranges[hits] * np.sin(angles[hits]) / resolution).astype(int) + columns
    is_inside = hit_column < columns
    cells[hit_row[is_inside], hit_column[is_inside]] = 100

    grid = OccupancyGrid()
    grid.header = scan.header
    grid.info.map_load_time = scan.header.stamp
    grid.info.resolution, grid.info.width, grid.info.height = resolution, columns, rows
    grid.info.origin.position.y = -resolution * columns
    grid.info.origin.orientation.w = 1.0
    grid.data = cells.reshape(-1).tolist()
    return grid


class DepthNode(Node):
    """Predicts the newest image; those that come meanwhile are dropped by the queue of sensors."""

    def __init__(self) -> None:
        """Load the model that the parameter names, and listen."""
        super().__init__("rilievo_depth")
        self.declare_parameter("model", "moge-2/small")
        self.declare_parameter("scan_rows", 10)
        self.declare_parameter("scan_frame", "")
        self.declare_parameter("max_range", 10.0)
        self.declare_parameter("resolution", 0.05)
        self.model = rilievo.load_model(self.get_parameter("model").value)
        kind = self.model.card.kind
        if kind is None or not kind.is_depth:
            raise SystemExit("the model gives no depth along the axis: take moge-2/small")
        self.is_metric = kind is rilievo.DepthKind.METRIC
        if not self.is_metric:
            self.get_logger().warning(
                "depth is up to an unknown scale, not in metres, so there is no scan and no grid"
            )
        self.info: CameraInfo | None = None
        sensors = qos_profile_sensor_data
        self.depths = self.create_publisher(Image, "depth/image", sensors)
        self.infos = self.create_publisher(CameraInfo, "depth/camera_info", sensors)
        self.scans = self.create_publisher(LaserScan, "scan", sensors)
        self.grids = self.create_publisher(OccupancyGrid, "grid", sensors)
        self.create_subscription(CameraInfo, "camera_info", self.take_info, sensors)
        self.create_subscription(Image, "image", self.take_image, sensors)

    def take_info(self, info: CameraInfo) -> None:
        """Keep the newest intrinsics."""
        self.info = info

    def take_image(self, image: Image) -> None:
        """Predict one image, once there are intrinsics."""
        if self.info is None:
            return
        # P belongs to rectified images; drivers that leave it empty only fill K.
        P = np.array(self.info.p, np.float64).reshape(3, 4)
        K = P[:, :3] if P.any() else np.array(self.info.k, np.float64).reshape(3, 3)
        # Borders and lines would be looked for in each image alone, and make depth jump.
        prediction = rilievo.predict(
            pixels_of(image), model=self.model, camera=K, trim=False, manhattan=False
        )
        self.depths.publish(message_of(prediction, image))
        self.info.header = image.header
        self.infos.publish(self.info)
        if self.is_metric:
            self.publish_scan(prediction, K, image)

    def publish_scan(self, prediction: rilievo.Prediction, K: np.ndarray, image: Image) -> None:
        """Publish the obstacles at the height of the camera, and the ground before it."""
        rows, frame, max_range, resolution = (
            self.get_parameter(name).value
            for name in ("scan_rows", "scan_frame", "max_range", "resolution")
        )
        frame = frame or image.header.frame_id.replace("_optical", "")
        header = Header(stamp=image.header.stamp, frame_id=frame)
        scan = scan_of(prediction, K, rows, max_range, header)
        self.scans.publish(scan)
        self.grids.publish(grid_of(scan, resolution))


def main() -> None:
    """Run until the node is stopped."""
    rclpy.init(args=sys.argv)
    node = DepthNode()
    try:
        rclpy.spin(node)
    finally:
        node.destroy_node()


if __name__ == "__main__":
    main()
