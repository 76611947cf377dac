"""Exports of trained models, each checked before it is handed over."""

from zoo.export.saved_model import ExportError, ExportResult, export_saved_model

__all__ = ["ExportError", "ExportResult", "export_saved_model"]
