"""Explanation: where in a face a model looks, by Grad-CAM or occlusion, and whether such maps can be trusted."""
