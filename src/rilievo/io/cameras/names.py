"""Names under which programs write intrinsics and the size of pictures."""

FOCAL_X = (
    *("fx", "focal_x", "f_u", "fu", "f_x", "fx_px", "focal_length_x", "focal_length_x_px_"),
    *("focal_length_px", "focallength_px", "focal_px", "f_px"),
)
"""Focal length along the rows, in pixels."""

FOCAL_Y = (
    *("fy", "focal_y", "f_v", "fv", "f_y", "fy_px", "focal_length_y", "focal_length_y_px_"),
    *FOCAL_X,
)
"""Focal length along the columns, in pixels. Where it is not stated, it is that along the rows."""

CENTRE_X = (
    *("cx", "ppx", "u0", "px", "c_x", "mx", "c_u", "cu", "cx_px", "principal_point_x"),
    *("focal_center_x_px_", "center_x"),
)
CENTRE_Y = (
    *("cy", "ppy", "v0", "py", "c_y", "my", "c_v", "cv", "cy_px", "principal_point_y"),
    *("focal_center_y_px_", "center_y"),
)
"""Principal point, in pixels."""

WIDTHS = (
    *("width", "w", "image_width", "image_Width", "imageWidth", "img_width", "colorWidth"),
    *("width_px", "Width", "W", "image_w", "img_w", "imgWidth", "cols", "frame_width"),
    *("image_size_x", "resolution_x", "size_x", "res_x"),
)
HEIGHTS = (
    *("height", "h", "image_height", "image_Height", "imageHeight", "img_height", "colorHeight"),
    *("height_px", "Height", "H", "image_h", "img_h", "imgHeight", "rows", "frame_height"),
    *("image_size_y", "resolution_y", "size_y", "res_y"),
)
"""Sides of a picture, in pixels."""

MATRICES = (
    *("intrinsics", "camera_matrix", "Camera_Matrix", "cameraMatrix", "intrinsic_matrix", "K"),
    *("M1", "k", "cam_K", "camera_intrinsic", "camera_intrinsics", "intrinsic", "intrinsicMatrix"),
    *("cameraIntrinsics", "Intrinsics", "intrinsics_matrix", "mtx", "cam_intrinsic"),
)
"""K or fx, fy, cx and cy, as a list or as OpenCV's mapping with ``data``."""
