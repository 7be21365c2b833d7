"""What this plugin is asked on the command line: ``python -m agentflow_vm build-image``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from agentflow_core.errors import AgentFlowError


@click.group()
def main() -> None:
    """Desktops for AgentFlow."""


@main.command("build-image")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where images stand.  [default: $AGENTFLOW_VM_IMAGES, else vm-images in the state folder]",
)
@click.option("--include", multiple=True, metavar="PACKAGE", help="One more Debian package; may be repeated.")
@click.option("--suite", default="bookworm", show_default=True, help="The release of Debian.")
@click.option("--mirror", default="", metavar="URL", help="Where its packages come from.")
@click.option("--memory-mb", default=1024, show_default=True, type=click.IntRange(min=256), help="Of the machine.")
@click.option("--cpus", default=2, show_default=True, type=click.IntRange(1, 64), help="Of the machine.")
@click.option("--disk-mb", default=3072, show_default=True, type=click.IntRange(min=1536), help="Of the machine.")
@click.option("--width", default=1280, show_default=True, type=click.IntRange(640, 4096), help="Of the screen.")
@click.option("--height", default=800, show_default=True, type=click.IntRange(480, 2160), help="Of the screen.")
@click.option(
    "--accel",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "kvm", "tcg"]),
    help="What runs it: the processor itself, or emulation.",
)
def build_image(
    folder: Path | None,
    include: tuple[str, ...],
    suite: str,
    mirror: str,
    memory_mb: int,
    cpus: int,
    disk_mb: int,
    width: int,
    height: int,
    accel: str,
) -> None:
    """Build the image of a small Debian desktop for the machine qemu: once, in some minutes, as root.

    The same recipe is built once; a build that was stopped goes on where it was.
    """
    from agentflow_vm.image.building import build, qemu_version
    from agentflow_vm.image.images import images_folder
    from agentflow_vm.image.recipe import Recipe
    from agentflow_vm.machines.accel import accel_of

    try:
        recipe = Recipe(
            suite=suite,
            mirror=mirror,
            include=include,
            disk_mb=disk_mb,
            memory_mb=memory_mb,
            cpus=cpus,
            width=width,
            height=height,
            accel=accel_of(accel),  # type: ignore[arg-type]  # one of the choices
            qemu=qemu_version(),
        )
        build(recipe, folder or images_folder(), click.echo)
    except AgentFlowError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(prog_name="python -m agentflow_vm")
