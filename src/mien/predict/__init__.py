"""Faces in photos, videos and camera pictures, and the expressions they show."""
