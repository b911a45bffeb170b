"""Connected components of graphs, and connected patches of masks."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Int, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Patches of connected points.

    Attributes:
        label: Patch of each point, from 1; 0 for points of no patch.
        size: Number of points of each patch, and of none.
    """

    label: Int[np.ndarray, "h w"]
    size: Int[np.ndarray, "n"]


def label_patches(mask: Mask) -> Patches:
    """Label the connected components of a mask, along rows and columns."""
    return label_linked_patches(mask, mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1])


def label_linked_patches(
    mask: Mask,
    beside: Bool[np.ndarray, "h v"],
    below: Bool[np.ndarray, "g w"],
) -> Patches:
    """Label the components of a mask in which only some neighbours are connected.

    Runs of points along the rows are found first. Then runs that are connected down a column are
    merged.

    ``beside`` and ``below`` say whether each point is connected to that in the next column, and in
    the next row.
    """
    starts_run = mask.copy()
    starts_run[:, 1:] &= ~beside
    run_label = np.cumsum(starts_run).reshape(mask.shape)
    run_label[~mask] = 0
    upper_run, lower_run = run_label[:-1][below], run_label[1:][below]
    # Neighbouring columns mostly connect the same two runs, which need to be merged only once.
    is_new_pair = np.ones(upper_run.size, bool)
    is_new_pair[1:] = (np.diff(upper_run) != 0) | (np.diff(lower_run) != 0)
    run_count = int(starts_run.sum()) + 1
    component_of_run = connected_component_labels(
        run_count, upper_run[is_new_pair], lower_run[is_new_pair]
    )
    _, patch_of_run = np.unique(component_of_run, return_inverse=True)
    label = patch_of_run[run_label]
    return Patches(label=label, size=np.bincount(label.reshape(-1)))


def connected_component_labels(
    node_count: int, edge_starts: Int[np.ndarray, "m"], edge_ends: Int[np.ndarray, "m"]
) -> Int[np.ndarray, "n"]:
    """Label each node of a graph with the smallest node of its connected component.

    It is a union-find: each round links the roots of an edge's nodes, and then shortens all paths.
    """
    root = np.arange(node_count)
    while True:
        first_root, second_root = root[edge_starts], root[edge_ends]
        is_apart = first_root != second_root
        if not is_apart.any():
            return root
        edge_starts, edge_ends = edge_starts[is_apart], edge_ends[is_apart]
        first_root, second_root = first_root[is_apart], second_root[is_apart]
        larger_root = np.maximum(first_root, second_root)
        np.minimum.at(root, larger_root, np.minimum(first_root, second_root))
        while (root[root] != root).any():
            root = root[root]
