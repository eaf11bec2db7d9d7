"""Finds the packages, since `pipelines/` installs as `captioner.pipelines`; all else is in setup.cfg."""

import shutil

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py


class FreshBuild(build_py):
    """Builds from the sources alone: setuptools would add whatever an earlier build left in `build/`."""

    def run(self) -> None:
        """Remove what an earlier build left, and build."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    packages=[
        *find_namespace_packages(include=["captioner", "captioner.*"]),
        *(f"captioner.{name}" for name in find_namespace_packages(include=["pipelines", "pipelines.*"])),
    ],
    package_dir={"captioner.pipelines": "pipelines"},
    cmdclass={"build_py": FreshBuild},
)
