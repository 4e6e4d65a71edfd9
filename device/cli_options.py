"""What the commands of the command line share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from device.config import Config, load_config

DEFAULT_CONFIG = Path("/etc/moodify/moodify.toml")

Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands,  # type: ignore[valid-type]
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """A command that calls `run` with its options."""
    parser: argparse.ArgumentParser = commands.add_parser(  # type: ignore[attr-defined]
        name, help=text, description=text.capitalize() + "."
    )
    parser.set_defaults(command=run)
    return parser


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """--config."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"configuration (default: {DEFAULT_CONFIG} where it exists)"
    )


def config_of(options: argparse.Namespace) -> Config:
    """The configuration that the options name."""
    if options.config is None and DEFAULT_CONFIG.exists():
        return load_config(DEFAULT_CONFIG)
    return load_config(options.config)
