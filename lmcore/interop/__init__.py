"""Trained models for other libraries: Hugging Face transformers, and ONNX; with a model card."""
