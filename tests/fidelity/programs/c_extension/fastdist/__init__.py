from fastdist._core import squared

__all__ = ["squared"]
