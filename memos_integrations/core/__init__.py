"""The engine: memory cubes, the walk of a prompt, governance. Imports no framework, no torch, no SQL."""
