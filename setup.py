"""Finds the packages, since `pipelines/` installs as `captioner.pipelines`; all else is in setup.cfg."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["captioner", "captioner.*"]),
        *(f"captioner.{name}" for name in find_namespace_packages(include=["pipelines", "pipelines.*"])),
    ],
    package_dir={"captioner.pipelines": "pipelines"},
)
