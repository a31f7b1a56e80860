"""What fills the engine's ports with real models: sentence embedders and local language models.

Every part is imported from its own module (`backends.minilm`, `backends.huggingface`), so that importing this
package loads neither numpy kernels nor torch. Nothing here knows of vaults or frameworks.
"""
