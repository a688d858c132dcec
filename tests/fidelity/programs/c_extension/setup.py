from setuptools import Extension, setup

setup(ext_modules=[Extension("fastdist._core", ["fastdist/_core.c"])])
