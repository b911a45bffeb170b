"""A ROS 2 node: depth of a camera's images, with the camera's own intrinsics.

Usage: python3 ros2_depth_node.py --ros-args -r image:=/camera/image_rect \
    -r camera_info:=/camera/camera_info -p model:=moge-2/small

Subscribes to image (rgb8, bgr8 or mono8) and camera_info, publishes depth/image (32FC1; NaN where
there is none) and depth/camera_info with the stamp and frame of the image. The depth is in metres
with a model of metres, such as moge-2/small; else it has the model's own unknown scale, which
changes from image to image, and the node says so once.

Images have to be rectified, as image_proc does: distortion in camera_info is not read. The node
point_cloud_xyz of depth_image_proc takes both topics of depth and makes a PointCloud2 (not tried).
"""

import sys

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

import rilievo


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


class DepthNode(Node):
    """Predicts the newest image; those that come meanwhile are dropped by the queue of sensors."""

    def __init__(self) -> None:
        """Load the model that the parameter names, and listen."""
        super().__init__("rilievo_depth")
        self.declare_parameter("model", "moge-2/small")
        self.model = rilievo.load_model(self.get_parameter("model").value)
        kind = self.model.card.kind
        if kind is None or not kind.is_depth:
            raise SystemExit("the model gives no depth along the axis: take moge-2/small")
        if kind is not rilievo.DepthKind.METRIC:
            self.get_logger().warning("depth is up to an unknown scale, not in metres")
        self.info: CameraInfo | None = None
        sensors = qos_profile_sensor_data
        self.depths = self.create_publisher(Image, "depth/image", sensors)
        self.infos = self.create_publisher(CameraInfo, "depth/camera_info", sensors)
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
