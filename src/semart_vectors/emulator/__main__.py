"""Run the emulator: ``python -m semart_vectors.emulator``."""

from __future__ import annotations

from semart_vectors.emulator.command_line import emulator_command

if __name__ == "__main__":
    emulator_command(prog_name="python -m semart_vectors.emulator")
